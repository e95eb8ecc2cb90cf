"""Nets that are built in Python, call by call, with the same content as a ``.net`` file.

    net = Net("xor")
    x = net.input("x", [2])
    W = net.parameter("W", [2, 3], "uniform", -1, 1)
    y = net.apply("tanh", net.apply("matmul", x, W))
    net.output("y", y)
    model = Model.of_graph(net.graph)

Every primitive of docs/language.md is available under its name. Types and shapes are inferred at once. An error refers
to the line of Python that caused it.
"""

from __future__ import annotations

import linecache
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from operator import index
from pathlib import Path
from typing import Any, SupportsIndex

from graphdl.diagnostics import Diagnostic, Label, ModelError
from graphdl.graph.builder import Builder, Naming, first_values
from graphdl.graph.elements import ELEMENTS
from graphdl.graph.model import Initializer, Module, ModuleGraph, Value, Variable
from graphdl.graph.numbers import element_for, is_numeric
from graphdl.graph.operator import GraphError, OperatorError, hyperparameters
from graphdl.graph.types import Element, TensorType
from graphdl.graph.wording import describe
from graphdl.operators import PRIMITIVES
from graphdl.operators.initializers import INITIALIZERS
from graphdl.operators.primitive import Primitive
from graphdl.source import Source, Span
from graphdl.suggest import did_you_mean

_OWN_FILES = {__file__, contextmanager.__code__.co_filename}


class Net:
    """Builds a module graph for inference or, with ``training``, for training.

    A tensor is a ``Value``. Its ``type`` is that of one example, without the batch.
    """

    def __init__(self, name: str, *, training: bool = False) -> None:
        self._sources: dict[str, Source] = {}
        self._graph = ModuleGraph(name, training, Module("", name, None, self._place()))
        self._builder = Builder(self._graph)
        self._naming = Naming(self._graph.root)

    @property
    def training(self) -> bool:
        """Whether this is the graph for training."""
        return self._graph.training

    @property
    def graph(self) -> ModuleGraph:
        """The graph built so far."""
        _connect(self._graph)
        return self._graph

    @contextmanager
    def module(self, name: str, kind: str | None = None) -> Iterator[Module]:
        """Puts everything that is made in the ``with`` block into a module. The paths of its variables begin with the
        module's name.

        ``kind`` is the kind of the module (``conv``), by default its name. A second module of the same name gets a
        number.
        """
        outer, first = self._naming, self._builder.count
        module = self._builder.module(outer, name, kind or name, self._place(), level=False)
        self._naming = Naming(module)
        try:
            yield module
        finally:
            self._naming = outer
            module.applications.append((first, self._builder.count))

    def input(
        self, name: str, shape: Sequence[int] = (), *, element: Element = "float", classes: int | None = None
    ) -> Value:
        """A tensor that is fed. With ``classes`` it holds ints of at least 0 and less than ``classes``.

        Raises:
            ModelError: E0202, there is an input of this name; E0302, the shape or the classes are invalid; E0301, there
                is no such element type.
        """
        place = self._place()
        with _complaining(place):
            if element not in ELEMENTS:
                help = did_you_mean(element, ELEMENTS)
                raise GraphError(
                    "E0301", f"the elements of a tensor are {', '.join(ELEMENTS)}, not {element}", help=help
                )
            if classes is not None:
                element, classes = "int", _dimension(classes)
            tensor_type = TensorType(tuple(map(_dimension, shape)), element, classes)
            if name in self._graph.inputs:
                raise GraphError("E0202", f"the net has an input '{name}' already")
            return self._builder.input(name, tensor_type, self._naming.module, place)

    def parameter(self, name: str, shape: Sequence[int], first: Any, *arguments: float) -> Value:
        """A tensor that is trained. Its initial values are given by an initializer (``"uniform", -1, 1``), or by
        numbers.

        Raises:
            ModelError: there is no such initializer, or the shape or the numbers do not fit.
        """
        return self._variable("param", name, shape, first, arguments).value

    def state(self, name: str, shape: Sequence[int], first: Any = 0.0, *arguments: float) -> Variable:
        """A tensor that ``update`` updates. ``state.value`` is its current value.

        Raises:
            ModelError: as for ``parameter``.
        """
        return self._variable("state", name, shape, first, arguments)

    def apply(self, operator: str, *inputs: Any, **given: Any) -> Any:
        """Applies an operator. Returns its output, or a tuple of several. Numbers and lists of numbers are accepted as
        tensors.

        Raises:
            ModelError: there is no such operator or hyperparameter, or the inputs do not fit: E02…, E03… or E04….
        """
        place, module = self._place(), self._naming.module
        values: list[Value] = []
        with _complaining(place, values):
            primitive = _known(operator, given)
            _check_count(primitive, len(inputs))
            attributes = hyperparameters(primitive, given)
            for value in inputs:
                if not isinstance(value, Value):
                    if not is_numeric(value):
                        raise GraphError("E0301", f"'{operator}' works on tensors, not {describe(value)}")
                    value = self._builder.tensor(value, element_for(operator, inputs), module, place)
                values.append(value)
            outputs = self._builder.apply(primitive, values, attributes, module, place)
        return outputs[0] if len(outputs) == 1 else outputs

    def output(self, name: str, value: Value) -> None:
        """Makes a tensor an output of the net."""
        self._result("output", name, value)

    def loss(self, name: str, value: Value) -> None:
        """Makes a tensor with one number for each example a loss. Training minimizes its mean.

        Raises:
            ModelError: E0414, it is not one number for each example.
        """
        self._result("loss", name, value)

    def metric(self, name: str, value: Value) -> None:
        """Makes a tensor with one number for each example a metric.

        Raises:
            ModelError: E0414, it is not one number for each example.
        """
        self._result("metric", name, value)

    def update(self, state: Variable, value: Value) -> None:
        """Sets the next value of a state. This has an effect only in the graph for training.

        Raises:
            ModelError: E0418 or E0506, the value has another type, or differs from example to example.
        """
        with _complaining(self._place(), [value]):
            if self.training:
                self._builder.update(state, state.path, value)

    def _result(self, word: str, name: str, value: Value) -> None:
        with _complaining(self._place(), [value]):
            self._builder.result(word, name, value, self._naming.module)

    def _variable(self, word: str, name: str, shape: Sequence[int], first: Any, arguments: Sequence[float]) -> Variable:
        place = self._place()
        with _complaining(place):
            tensor_type = TensorType(tuple(map(_dimension, shape)))
            named = isinstance(first, str)
            initializer = _initializer(first, arguments) if named else first_values(first, tensor_type)
            return self._builder.variable(word, name, tensor_type, initializer, self._naming.module, place)

    def _place(self) -> Span:
        """The line of Python outside of this file that is being executed."""
        frame = sys._getframe(1)
        while frame.f_code.co_filename in _OWN_FILES and frame.f_back is not None:
            frame = frame.f_back
        name = frame.f_code.co_filename
        if name not in self._sources:
            self._sources[name] = Source(Path(name).name, "".join(linecache.getlines(name)), name)
        source = self._sources[name]
        if frame.f_lineno > len(source.line_starts):
            return Span(source, 0, 0)  # the text is unknown: it was entered interactively, or generated
        line = source.line(frame.f_lineno)
        start = source.line_starts[frame.f_lineno - 1]
        return Span(source, start + len(line) - len(line.lstrip()), start + len(line))


@contextmanager
def _complaining(place: Span, inputs: Sequence[Value] = ()) -> Iterator[None]:
    """Adds this place, and the places of the inputs at fault, to errors of the graph in the block."""
    try:
        yield
    except GraphError as error:
        ports = error.inputs if isinstance(error, OperatorError) else ()
        labels = dict.fromkeys(Label(inputs[port].node.span, str(inputs[port].type)) for port in ports)
        shown = tuple(label for label in labels if label.span != place)
        raise ModelError(Diagnostic(error.code, error.message, place, labels=shown, help=error.help)) from None


def _dimension(length: Any) -> int:
    """A dimension as an int.

    Raises:
        GraphError: E0302, it is not an int, or less than 1.
    """
    if isinstance(length, bool) or not isinstance(length, SupportsIndex):
        raise GraphError("E0302", f"a dimension is an int, not {describe(length)}")
    if index(length) < 1:
        raise GraphError("E0302", f"a dimension is at least 1, not {index(length)}")
    return index(length)


def _known(operator: str, given: dict[str, Any]) -> Primitive:
    primitive = PRIMITIVES.get(operator)
    if primitive is None:
        raise GraphError("E0201", f"there is no operator '{operator}'", help=did_you_mean(operator, PRIMITIVES))
    known = [hyper.name for hyper in primitive.hypers]
    for name in given:
        if name not in known:
            raise GraphError("E0204", f"'{operator}' has no argument '{name}'", help=did_you_mean(name, known))
    return primitive


def _check_count(operator: Primitive, count: int) -> None:
    most = len(operator.inputs)
    least = 1 if operator.variadic else most - operator.optional_inputs
    if count < least:
        message = f"'{operator.name}' wants {least} tensors ({', '.join(operator.inputs)}), and gets {count}"
        raise GraphError("E0205", message)
    if count > most and not operator.variadic:
        raise GraphError("E0206", f"too many inputs for '{operator.name}': it has {most}, and gets {count}")


def _initializer(name: str, arguments: Sequence[float]) -> Initializer:
    known = INITIALIZERS.get(name)
    if known is None:
        raise GraphError("E0201", f"there is no initializer '{name}'", help=did_you_mean(name, INITIALIZERS))
    if len(arguments) > len(known):
        raise GraphError("E0206", f"too many numbers for '{name}': it has {len(known)}")
    numbers = [*arguments, *list(known.values())[len(arguments) :]]
    for key, number in zip(known, numbers, strict=True):
        if number is None:
            raise GraphError("E0205", f"'{name}' wants '{key}', and it is not given")
    return Initializer(name, tuple(float(number) for number in numbers if number is not None))


def _connect(graph: ModuleGraph) -> None:
    """Sets the inputs and outputs of every module: the values that its nodes read from outside, and those that are read
    outside.
    """
    around: dict[int, list[Module]] = {}
    for node in graph.nodes:
        chain, module = [], node.module
        while module.parent is not None:
            chain.append(module)
            module = module.parent
        around[node.id] = chain
    inputs: dict[int, dict[int, Value]] = {}
    outputs: dict[int, dict[int, Value]] = {}
    readers = [(value, around[node.id]) for node in graph.nodes for value in node.inputs]
    results = (*graph.outputs.values(), *graph.losses.values(), *graph.metrics.values(), *graph.updates.values())
    for value, inside in (*readers, *((value, []) for value in results)):
        made_in = around[value.node.id]
        for module in inside:
            if module not in made_in:
                inputs.setdefault(id(module), {})[id(value)] = value
        for module in made_in:
            if module not in inside:
                outputs.setdefault(id(module), {})[id(value)] = value
    for module in {id(module): module for chain in around.values() for module in chain}.values():
        module.inputs = list(inputs.get(id(module), {}).values())
        module.outputs = list(outputs.get(id(module), {}).values())
