"""Builds the module graph: nodes, parameters, the tree of modules, and the bodies of scans."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from graphdl.graph.model import Initializer, Module, ModuleGraph, Node, Value, Variable
from graphdl.graph.types import TensorType
from graphdl.language.expansion import limits
from graphdl.language.expansion.faults import Fault, Poisoned
from graphdl.language.expansion.frames import Naming
from graphdl.language.expansion.values import number_text
from graphdl.source import Span


class Body:
    """A sequence of nodes: that of the net, or that of a scan's step, which sees the outside by ``item`` nodes."""

    def __init__(self, outer: Body | None = None) -> None:
        self.outer = outer
        self.nodes: list[Node] = []
        self.brought: dict[int, Value] = {}
        """From the id of an outer value to the one that stands for it inside."""
        self.captured: list[tuple[Value, Value]] = []
        """Outer and inner value of each capture."""
        self.unrolled = 0
        """Nodes that the scans inside make, with all their steps."""


class Builder:
    """One module graph in the making."""

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
        """The module of that name below ``naming.module``: the one that is there already if its parent is shared."""
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
        """A new node of the current body (or ``body``); outer values are captured."""
        if self.count > limits.NODES:
            raise Poisoned
        if self.count == limits.NODES:
            self.count += 1
            raise Fault("E0504", f"the net has more than {limits.NODES:,} nodes", span)
        for tensor_type in types:
            if tensor_type.rank > limits.RANK:
                message = f"a tensor of {tensor_type.rank:,} dimensions has too many: the limit is {limits.RANK}"
                raise Fault("E0302", message, span)
            if 0 in tensor_type.shape or any(length < 0 for length in tensor_type.shape):
                raise Fault("E0302", f"a dimension is at least 1, and this would be {tensor_type}", span)
            if tensor_type.size > limits.ELEMENTS:
                raise Fault(
                    "E0302",
                    f"a tensor {tensor_type} has {number_text(float(tensor_type.size))} elements, too many",
                    span,
                )
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

    def unroll(self, body: Body, length: int, span: Span) -> None:
        """Counts the nodes that a scan makes, its body once for each step. Raises Fault where they are too many."""
        assert body.outer is not None
        body.outer.unrolled += length * (len(body.nodes) + body.unrolled)
        if body.outer.unrolled > limits.NODES:
            message = f"with the steps of its scans the net has more than {limits.NODES:,} nodes"
            raise Fault("E0504", message, span, help="a scan over a shorter sequence makes fewer")

    def constant(self, value: Any, tensor_type: TensorType, module: Module, span: Span) -> Value:
        return self.node("constant", (), {"value": value}, (tensor_type,), module, span).outputs[0]

    def item(self, tensor_type: TensorType, batched: bool, module: Module, span: Span, name: str | None) -> Value:
        """A value of a scan's step that comes from outside it."""
        return self.node("item", (), {}, (tensor_type,), module, span, batched=batched, name=name).outputs[0]

    def bring(self, value: Value, body: Body) -> Value:
        """The value as it is seen inside ``body``: an outer one is captured, a constant made again."""
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

    # ----------------------------------------------------------------------------------------------------- variables

    def variable(
        self, word: str, name: str, tensor_type: TensorType, initializer: Initializer, module: Module, span: Span
    ) -> Variable:
        """The parameter or state of that name: the one that is there if the module is shared.

        Raises Fault where the shared one has another shape.
        """
        table = self.graph.parameters if word == "param" else self.graph.states
        path = join(module.path, name)
        known = table.get(path)
        if known is not None:
            if known.type != tensor_type:
                raise Fault(
                    "E0413",
                    f"'{path}' is shared, and would be {known.type} in one place and {tensor_type} in another",
                    span,
                )
            return known
        node = self.node(
            word, (), {"name": path}, (tensor_type,), module, span, batched=False, name=name, body=self.main
        )
        variable = Variable(path, tensor_type, initializer, node.outputs[0], span)
        table[path] = variable
        return variable


def join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
