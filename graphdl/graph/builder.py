"""Builds a module graph: nodes with their types, parameters, the tree of modules, and the bodies of scans.

Both the expansion of a text and ``graphdl.net`` use it. The builder infers the type of every value and raises an error
for invalid ones. Its callers supply places: a ``Span`` for each node, and the place of each error.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

from graphdl.graph import limits
from graphdl.graph.model import Initializer, Module, ModuleGraph, Node, Value, Variable
from graphdl.graph.numbers import numbers_of, written_out
from graphdl.graph.operator import GraphError, Operator, check_rank
from graphdl.graph.types import Element, TensorType
from graphdl.graph.wording import number_text
from graphdl.source import Span


@dataclass(slots=True, eq=False)
class Naming:
    """Names the modules inside one module. Within a statement the first module of a kind has no number; then come _2,
    _3.

    A further application of a shared module starts a new Naming. It gives the same names, which find the same
    parameters.
    """

    module: Module
    level: str | None = None
    """The name that the current statement assigns."""
    counts: dict[str, int] = field(default_factory=dict)
    taken: set[str] = field(default_factory=set)

    def local(self, kind: str, *, level: bool) -> str:
        """A new name below the module. With ``level`` it is prefixed with the current statement's name."""
        base = f"{self.level}.{kind}" if level and self.level else kind
        number = self.counts.get(base, 0)
        while True:
            number += 1
            name = base if number == 1 else f"{base}_{number}"
            if name not in self.taken:
                break
        self.counts[base] = number
        self.taken.add(name)
        return name


class Body:
    """A sequence of nodes: that of the net, or that of a scan's step. ``item`` nodes stand for
    outer values in a step.
    """

    def __init__(self, outer: Body | None = None) -> None:
        self.outer = outer
        self.nodes: list[Node] = []
        self.brought: dict[int, Value] = {}
        """Maps the id of an outer value to the value that stands for it inside."""
        self.captured: list[tuple[Value, Value]] = []
        """The outer and the inner value of each capture."""
        self.unrolled = 0
        """The number of nodes in all steps of the scans inside."""


class Builder:
    """Builds one module graph."""

    def __init__(self, graph: ModuleGraph) -> None:
        self.graph = graph
        self.main = Body()
        self.main.nodes = graph.nodes
        self.body = self.main
        self.count = 0
        self._owner: dict[int, Body] = {}
        self._children: dict[int, dict[str, Module]] = {}
        self._paths: set[str] = {""}

    # ------------------------------------------------------------------------------------------------------- modules

    def module(
        self, naming: Naming, name: str, kind: str, span: Span, *, level: bool, documentation: str | None = None
    ) -> Module:
        """The module with that name below ``naming.module``. An existing one is returned if its parent is shared."""
        children = self._children.setdefault(id(naming.module), {})
        while True:
            local = naming.local(name, level=level)
            if local in children:
                return children[local]
            path = join(naming.module.path, local)
            if path not in self._paths:
                break
        module = Module(path, kind, naming.module, span, documentation=documentation)
        self._paths.add(path)
        children[local] = module
        naming.module.children.append(module)
        return module

    # --------------------------------------------------------------------------------------------------------- nodes

    def node(
        self,
        operator: str,
        inputs: Sequence[Value],
        attributes: Mapping[str, Any],
        types: Sequence[TensorType],
        module: Module,
        span: Span,
        *,
        batched: bool | None = None,
        name: str | None = None,
        body: Body | None = None,
    ) -> Node:
        """Adds a node to the current body, or to ``body``. Outer values are captured.

        Raises:
            GraphError: E0504, there are too many nodes; E0302, a type is not that of a tensor.
        """
        if self.count >= limits.NODES:
            raise GraphError("E0504", f"the net has more than {limits.NODES:,} nodes")
        for tensor_type in types:
            check_type(tensor_type)
        home = body or self.body
        if home.outer is not None:
            inputs = [self.bring(value, home) for value in inputs]
        node = Node(self.count, operator, tuple(inputs), attributes, module, span, name=name)
        self.count += 1
        if batched is None:
            batched = any(value.batched for value in inputs)
        node.outputs = tuple(Value(node, index, t, batched) for index, t in enumerate(types))
        home.nodes.append(node)
        if home.outer is not None:
            self._owner[node.id] = home
        return node

    def unroll(self, body: Body, length: int) -> None:
        """Counts the nodes of a scan: its body once for each step.

        Raises:
            GraphError: E0504, there are too many nodes.
        """
        assert body.outer is not None
        body.outer.unrolled += length * (len(body.nodes) + body.unrolled)
        if body.outer.unrolled > limits.NODES:
            message = f"with the steps of its scans the net has more than {limits.NODES:,} nodes"
            raise GraphError("E0504", message, help="a scan over a shorter sequence makes fewer")

    def tensor(self, value: Any, element: Element | None, module: Module, span: Span) -> Value:
        """A constant from a number or nested lists of numbers. If ``element`` is None, the numbers determine it.

        Raises:
            GraphError: the value is not that of a tensor.
        """
        plain, tensor_type = written_out(value, element)
        return self.node("constant", (), {"value": plain}, (tensor_type,), module, span).outputs[0]

    def item(self, tensor_type: TensorType, batched: bool, module: Module, span: Span, name: str | None) -> Value:
        """A value in a scan's step that is given from outside."""
        return self.node("item", (), {}, (tensor_type,), module, span, batched=batched, name=name).outputs[0]

    def bring(self, value: Value, body: Body) -> Value:
        """The value for use inside ``body``: an outer value is captured, a constant is made again."""
        owner = self._owner.get(value.node.id, self.main)
        if owner is body or body.outer is None:
            return value
        known = body.brought.get(id(value))
        if known is not None:
            return known
        outer = self.bring(value, body.outer)
        node = value.node
        if node.operator == "constant":
            inner = self.node("constant", (), node.attributes, (value.type,), node.module, node.span, body=body)
        else:
            inner = self.node("item", (), {}, (value.type,), node.module, node.span, batched=value.batched, body=body)
            body.captured.append((outer, inner.outputs[0]))
        body.brought[id(value)] = inner.outputs[0]
        return inner.outputs[0]

    def apply(
        self,
        operator: Operator,
        inputs: Sequence[Value],
        attributes: Mapping[str, Any],
        module: Module,
        span: Span,
    ) -> tuple[Value, ...]:
        """Applies an operator and infers the types of its outputs. ``attributes`` has all hyperparameters.

        Raises:
            OperatorError: the shape rule refuses the inputs.
            GraphError: as for ``node``.
        """
        types = operator.infer([value.type for value in inputs], attributes)
        batched = operator.batched(value.batched for value in inputs)
        return self.node(operator.name, inputs, attributes, types, module, span, batched=batched).outputs

    # ---------------------------------------------------------------------------------------- inputs and variables

    def input(self, name: str, tensor_type: TensorType, module: Module, span: Span) -> Value:
        """An input of the net, fed with one tensor for each example."""
        node = self.node("input", (), {"name": name}, (tensor_type,), module, span, batched=True, name=name)
        self.graph.inputs[name] = node.outputs[0]
        return node.outputs[0]

    def variable(
        self, word: str, name: str, tensor_type: TensorType, initializer: Initializer, module: Module, span: Span
    ) -> Variable:
        """The parameter (``word`` is ``param``) or state with that name. An existing one is returned if the module is
        shared.

        Raises:
            GraphError: E0413, the existing variable has another shape.
        """
        table = self.graph.parameters if word == "param" else self.graph.states
        path = join(module.path, name)
        known = table.get(path)
        if known is not None:
            if known.type != tensor_type:
                raise GraphError(
                    "E0413",
                    f"'{path}' is shared, and would be {known.type} in one place and {tensor_type} in another",
                )
            return known
        node = self.node(
            word, (), {"name": path}, (tensor_type,), module, span, batched=False, name=name, body=self.main
        )
        variable = Variable(path, tensor_type, initializer, node.outputs[0], span)
        table[path] = variable
        return variable

    # ------------------------------------------------------------------------------------------------------- results

    def result(self, word: str, name: str, value: Value, module: Module) -> None:
        """Makes the value an ``output``, a ``loss`` or a ``metric`` of the net. Losses and metrics of equal names are
        numbered.

        Raises:
            GraphError: E0414, a loss or metric is not one number for each example.
        """
        if word == "output":
            self.graph.outputs[name] = value
            return
        if value.type.shape or value.type.element != "float":
            several = f"the mean over all its elements: {word} mean(…)"
            help = several if value.type.shape else "float(x) makes a number of it"
            raise GraphError("E0414", f"a {word} is one number an example, and this is {value.type}", help=help)
        table = self.graph.losses if word == "loss" else self.graph.metrics
        path = join(module.path, name)
        number, free = 1, path
        while free in table:
            number += 1
            free = f"{path}_{number}"
        table[free] = value

    def update(self, state: Variable, name: str, value: Value) -> None:
        """Sets the next value of a state. Error messages call the state ``name``.

        Raises:
            GraphError: E0418, the value has another type; E0506, it differs from example to example.
        """
        if value.type != state.type:
            raise GraphError("E0418", f"the state '{name}' is {state.type}, and its next value {value.type}")
        if value.batched:
            raise GraphError(
                "E0506", f"the next value of '{name}' differs from example to example",
                help="batch_mean(x) makes one value of a batch",
            )  # fmt: skip
        self.graph.updates[state.path] = value


def first_values(numbers: Any, tensor_type: TensorType) -> Initializer:
    """The initializer of a variable that starts from a number, or from nested lists of numbers.

    Raises:
        GraphError: the lists are ragged, or have another shape.
    """
    shape, flat = numbers_of(numbers)
    if not shape:
        return Initializer("constant", (float(flat[0]),))
    if shape != tensor_type.shape:
        raise GraphError("E0418", f"these numbers are {list(shape)}, and the type says {tensor_type}")
    return Initializer("values", tuple(map(float, flat)))


def check_type(tensor_type: TensorType) -> None:
    """Raises GraphError (E0302) if a dimension is below 1, or there are too many dimensions or elements."""
    shape = tensor_type.shape
    check_rank(len(shape))
    if shape and min(shape) < 1:
        raise GraphError("E0302", f"a dimension is at least 1, and this would be {tensor_type}")
    if prod(shape) > limits.ELEMENTS:
        elements = number_text(float(tensor_type.size))
        raise GraphError("E0302", f"a tensor {tensor_type} has {elements} elements, too many")


def join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
