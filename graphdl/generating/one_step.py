"""A net that runs along a sequence, as one step of it: the states go in and come out.

``one_step`` divides a net into two others with the same variables. The first computes once what is the same at all
places, such as an encoded source. The second computes one place: the sequences have length 1 in it, and each scan along
the sequence is one step from the states that are fed to the next ones.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from graphdl.generating.locality import Local, NotLocalError, Stream, local
from graphdl.graph.model import ModuleGraph, Node, ScanBody, Value
from graphdl.graph.types import Shape, TensorType
from graphdl.operators import PRIMITIVES

_FIRST = Stream(0)


@dataclass(frozen=True)
class Carried:
    """A state that is carried from step to step: the next value is the output ``following`` of ``step``."""

    name: str
    type: TensorType
    following: str
    fill: float | None
    """Its first value; None if ``begin`` computes it, as the output of its name."""


@dataclass(frozen=True)
class OneStep:
    """A net in two parts, with a dimension of length 1 for the sequence."""

    begin: ModuleGraph
    """What does not depend on the sequence. Its outputs are inputs of ``step``."""
    step: ModuleGraph
    """One place. Its outputs are those of the net, and the next states."""
    carried: tuple[Carried, ...]


def one_step(graph: ModuleGraph, sequences: Collection[str], outputs: Collection[str]) -> OneStep:
    """The form for one step of a net, whose inputs ``sequences`` run along the sequence with their first dimension.

    Raises:
        NotLocalError: an output needs several places at once, or a place after its own.
    """
    needed = _needed([graph.outputs[name] for name in outputs])
    (length,) = {graph.inputs[name].type.shape[0] for name in sequences}
    if length < 2:
        raise NotLocalError
    streams, locals_ = _streams(graph, needed, sequences, length)
    if any(streams.get(graph.outputs[name]) != _FIRST for name in outputs):
        raise NotLocalError
    return _Division(graph, streams, locals_, needed).divided(sequences, outputs)


def needed_inputs(graph: ModuleGraph, outputs: Collection[str]) -> set[str]:
    """The inputs on which some outputs depend."""
    needed = _needed(graph.outputs[name] for name in outputs)
    return {name for name, value in graph.inputs.items() if value.node in needed}


def _needed(values: Iterable[Value]) -> set[Node]:
    found: set[Node] = set()
    waiting = [value.node for value in values]
    while waiting:
        node = waiting.pop()
        if node not in found:
            found.add(node)
            waiting += [value.node for value in node.inputs]
    return found


_Streams = dict[Value, Stream]


def _streams(
    graph: ModuleGraph, needed: Collection[Node], sequences: Collection[str], length: int
) -> tuple[_Streams, dict[Node, Local]]:
    """The values that have an element for each place, and the form of the operators that compute them."""
    streams: _Streams = {graph.inputs[name]: _FIRST for name in sequences}
    found: dict[Node, Local] = {}
    ends: set[Value] = set()
    """The last states of scans along the sequence, which depend on all of it."""
    for node in graph.nodes:
        if node not in needed:
            continue
        given = [streams.get(value) for value in node.inputs]
        if not ends.isdisjoint(node.inputs):
            raise NotLocalError
        if not any(given):
            continue
        if node.operator == "scan":
            emitted = _scanned(node, given)
            streams |= dict.fromkeys(node.outputs[:emitted], _FIRST)
            ends.update(node.outputs[emitted:])
            found[node] = Local(_FIRST, {**node.attributes, "length": 1})
        else:
            found[node] = local(node, given, length)
            streams |= dict.fromkeys(node.outputs, found[node].stream)
    return streams, found


def _scanned(node: Node, given: Sequence[Stream | None]) -> int:
    """The number of emitted values of a scan along the sequence.

    Raises:
        NotLocalError: it runs along something else, or a step reads more than its own place.
    """
    body: ScanBody = node.attributes["body"]
    items = len(body.items)
    if any(each != _FIRST for each in given[:items]) or any(given[items:]):
        raise NotLocalError
    if not all(state.batched for state in body.states):
        raise NotLocalError
    return len(body.emitted)


class _Division:
    def __init__(
        self, graph: ModuleGraph, streams: _Streams, forms: Mapping[Node, Local], needed: Collection[Node]
    ) -> None:
        self.graph = graph
        self.streams, self.forms, self.needed = streams, forms, needed
        self.begin = _Part(graph)
        self.step = _Part(graph)
        self.carried: list[Carried] = []

    def divided(self, sequences: Collection[str], outputs: Collection[str]) -> OneStep:
        for name in sequences:
            value = self.graph.inputs[name]
            shape = (1, *value.type.shape[1:])
            self.step.values[value] = self.step.input(value, name, replace(value.type, shape=shape))
        for node in self.graph.nodes:
            if node in self.forms:
                self._add(node, self.forms[node])
            elif node in self.needed and not (node.operator == "input" and node.outputs[0] in self.streams):
                self.begin.add(node, node.attributes)
                if not any(value.batched for value in (*node.inputs, *node.outputs)):
                    self.step.add(node, node.attributes)  # a function of the variables alone
        for name in outputs:
            self.step.graph.outputs[name] = self.step.values[self.graph.outputs[name]]
        return OneStep(self.begin.pruned(), self.step.pruned(), tuple(self.carried))

    def _add(self, node: Node, form: Local) -> None:
        inputs = [self._given(value) for value in node.inputs]
        if node.operator == "scan":
            self._add_scan(node, form, inputs)
            return
        if form.kept:
            inputs = [self._with_kept(node, form, inputs[0])]
        self.step.add(node, form.attributes, inputs)
        for value, own in zip(node.outputs, (self.step.values[value] for value in node.outputs), strict=True):
            axis = form.stream.axis
            assert own.type.shape[axis] == 1 + form.stream.before
            assert _without(own.type.shape, axis) == _without(value.type.shape, axis)

    def _given(self, value: Value) -> Value:
        """The value in the step: a stream, a function of the variables, or what ``begin`` computes."""
        if value not in self.step.values:
            if not value.batched:
                raise NotLocalError
            name = f"value {value.node.id} {value.index}"
            self.begin.graph.outputs[name] = self.begin.values[value]
            self.step.values[value] = self.step.input(value, name, value.type)
        return self.step.values[value]

    def _with_kept(self, node: Node, form: Local, x: Value) -> Value:
        """The elements of the last places, which are kept, and the newest one after them."""
        axis = form.stream.axis
        shape = tuple(form.kept if d == axis else n for d, n in enumerate(x.type.shape))
        kept = self._state(node, 0, TensorType(shape), float(node.attributes["value"]))
        before = self.step.input(x, kept.name, kept.type)
        joint = self.step.apply("concat", (before, x), {"axis": axis}, node)
        stops = list(joint.type.shape)
        cut = {
            "starts": [int(d == axis) for d in range(len(stops))], "stops": stops, "steps": [1] * len(stops),
            "squeeze": [],
        }  # fmt: skip
        self.step.graph.outputs[kept.following] = self.step.apply("slice", (joint,), cut, node)
        return joint

    def _add_scan(self, node: Node, form: Local, inputs: Sequence[Value]) -> None:
        body: ScanBody = node.attributes["body"]
        first, emitted = len(body.items), len(body.emitted)
        states, own = [], list(inputs)
        for k, state in enumerate(body.states):
            start = node.inputs[first + k]
            carried = self._state(node, k, state.type, None)
            self.begin.graph.outputs[carried.name] = self.begin.values[start]
            own[first + k] = self.step.input(state, carried.name, state.type)
            states.append(carried)
        types = [TensorType((1, *v.type.shape), v.type.element, v.type.classes) for v in body.emitted]
        made = self.step.node(node, form.attributes, own, [*types, *(state.type for state in body.states)])
        self.step.values.update(zip(node.outputs, made.outputs, strict=True))
        for carried, value in zip(states, made.outputs[emitted:], strict=True):
            self.step.graph.outputs[carried.following] = value

    def _state(self, node: Node, number: int, kind: TensorType, fill: float | None) -> Carried:
        name = f"state {node.id} {number}"
        self.carried.append(Carried(name, replace(kind, classes=None), f"next {name}", fill))
        return self.carried[-1]


def _without(shape: Shape, axis: int) -> Shape:
    return (*shape[:axis], *shape[axis + 1 :])


class _Part:
    """A net that is made of nodes of another one. Copies keep their numbers, by which fixed draws are made."""

    def __init__(self, origin: ModuleGraph) -> None:
        self.origin = origin
        self.graph = ModuleGraph(origin.name, training=False, root=origin.root)
        self.values: dict[Value, Value] = {}
        """The value of this net for values of the other one."""

    def input(self, value: Value, name: str, kind: TensorType) -> Value:
        node = Node(value.node.id, "input", (), {"name": name}, value.node.module, value.node.span)
        node.outputs = (Value(node, 0, kind, batched=True),)
        self.graph.nodes.append(node)
        self.graph.inputs[name] = node.outputs[0]
        return node.outputs[0]

    def node(
        self, origin: Node, attributes: Mapping[str, object], inputs: Sequence[Value], types: Sequence[TensorType]
    ) -> Node:
        node = Node(origin.id, origin.operator, tuple(inputs), attributes, origin.module, origin.span)
        node.outputs = tuple(
            Value(node, value.index, kind, value.batched) for value, kind in zip(origin.outputs, types, strict=True)
        )
        self.graph.nodes.append(node)
        return node

    def add(self, origin: Node, attributes: Mapping[str, object], inputs: Sequence[Value] | None = None) -> None:
        """A copy of a node. With ``inputs``, the types of its outputs are inferred again."""
        if inputs is None:
            inputs = [self.values[value] for value in origin.inputs]
            types: Sequence[TensorType] = [value.type for value in origin.outputs]
        else:
            types = PRIMITIVES[origin.operator].infer([value.type for value in inputs], attributes)
        made = self.node(origin, attributes, inputs, types)
        self.values.update(zip(origin.outputs, made.outputs, strict=True))
        if origin.operator == "input":
            self.graph.inputs[origin.attributes["name"]] = made.outputs[0]

    def apply(self, operator: str, inputs: Sequence[Value], attributes: Mapping[str, object], place: Node) -> Value:
        (kind,) = PRIMITIVES[operator].infer([value.type for value in inputs], attributes)
        node = Node(place.id, operator, tuple(inputs), attributes, place.module, place.span)
        node.outputs = (Value(node, 0, kind, batched=True),)
        self.graph.nodes.append(node)
        return node.outputs[0]

    def pruned(self) -> ModuleGraph:
        """The net with those nodes alone that its outputs need."""
        needed = _needed(self.graph.outputs.values())
        self.graph.nodes = [node for node in self.graph.nodes if node in needed]
        own = {value for node in self.graph.nodes for value in node.outputs}
        self.graph.inputs = {name: value for name, value in self.graph.inputs.items() if value in own}
        for path, variable in self.origin.parameters.items():
            if (value := self.values.get(variable.value)) in own:
                self.graph.parameters[path] = replace(variable, value=value)
        return self.graph
