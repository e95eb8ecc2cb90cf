"""``scan``: its body is expanded once and runs over the first dimension of the sequences."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from graphdl.diagnostics import Label
from graphdl.graph.builder import Body
from graphdl.graph.model import Module, Node, ScanBody, Value
from graphdl.graph.types import TensorType
from graphdl.language import syntax
from graphdl.language.expansion.builder import at
from graphdl.language.expansion.context import Expansion, header, visible
from graphdl.language.expansion.faults import POISON, Fault, Poisoned
from graphdl.language.expansion.frames import Scope
from graphdl.language.expansion.values import describe, first_of, one_or_more
from graphdl.operators import PRIMITIVES
from graphdl.source import Span


def scan(expansion: Expansion, written: syntax.Scan, scope: Scope) -> Any:
    """Makes a node ``scan``. Its values are the emitted sequences, followed by the final states."""
    frame, builder = scope.frame, expansion.builder
    module = frame.naming.module
    sequences, starts = _bindings(expansion, written, scope)
    length = _length(sequences, written)

    body = Body(builder.body)
    inner = Scope(frame, scope)
    inner.emitted = []
    outer_body, level = builder.body, frame.naming.level
    builder.body = body
    frame.in_scan += 1
    try:
        items = []
        for binding, value in sequences:
            item_type = TensorType(value.type.shape[1:], value.type.element, value.type.classes)
            item = builder.item(item_type, value.batched, module, binding.span, binding.name)
            inner.names[binding.name] = item
            items.append(item)
        states: list[Value] = []
        for start, value in starts:
            held = _items(expansion, value, start, module)
            inner.names[start.name] = held
            states += _leaves(held)
        expansion.execute(written.body, inner)
        next_states = _next_states(expansion, starts, inner)
        emitted = [_within(expansion, value, body) for value in inner.emitted]
    finally:
        builder.body = outer_body
        frame.in_scan -= 1
        frame.naming.level = level

    captured = [value for value, _ in body.captured]
    inputs = [*(v for _, v in sequences), *(v for _, start in starts for v in _leaves(start)), *captured]
    captures = [value for _, value in body.captured]
    content = ScanBody(body.nodes, items, states, captures, next_states, emitted, written.recompute)
    types = [TensorType((length, *v.type.shape), v.type.element, v.type.classes) for v in emitted]
    types += [v.type for v in states]
    if not types:
        raise Fault("E0502", "this scan has no state and emits nothing", written.span)
    with at(header(written.span)):
        builder.unroll(body, length)
    node = builder.node("scan", inputs, {"body": content, "length": length}, types, module, written.span)
    spread_batches(node)
    left = iter(node.outputs)
    values: list[Any] = [next(left) for _ in emitted]
    values += [_shaped(start, left) for _, start in starts]
    return one_or_more(values)


State = Any
"""A tensor, or a list of states."""


def _leaves(state: State) -> list[Value]:
    """The tensors of a state, in order."""
    return [leaf for item in state for leaf in _leaves(item)] if isinstance(state, list) else [state]


def _shaped(state: State, leaves: Iterator[Value]) -> State:
    """Tensors in the lists of a state."""
    return [_shaped(item, leaves) for item in state] if isinstance(state, list) else next(leaves)


def _start(expansion: Expansion, value: Any, module: Module, span: Span) -> State:
    """The first value of a state. A list with a tensor in it is a list of states; numbers become one tensor."""
    if isinstance(value, Value):
        return value
    if isinstance(value, list) and _has_tensor(value):
        return [_start(expansion, item, module, span) for item in value]
    return expansion.tensor_of_numbers(value, "float", module, span)


def _has_tensor(value: list[Any]) -> bool:
    return any(isinstance(item, Value) or (isinstance(item, list) and _has_tensor(item)) for item in value)


def _items(expansion: Expansion, start: State, binding: syntax.ScanState, module: Module) -> State:
    """The values in the body that stand for a state."""
    if isinstance(start, list):
        return [_items(expansion, item, binding, module) for item in start]
    return expansion.builder.item(start.type, start.batched, module, binding.span, binding.name)


def _bindings(
    expansion: Expansion, written: syntax.Scan, scope: Scope
) -> tuple[list[tuple[syntax.ScanSequence, Value]], list[tuple[syntax.ScanState, State]]]:
    sequences: list[tuple[syntax.ScanSequence, Value]] = []
    starts: list[tuple[syntax.ScanState, State]] = []
    for binding in written.bindings:
        if isinstance(binding, syntax.ScanSequence):
            value = first_of(expansion.evaluate(binding.sequence, scope))
            if not isinstance(value, Value):
                raise Fault("E0301", f"a scan runs over a tensor, not {describe(value)}", binding.sequence.span)
            if not value.type.rank:
                raise Fault("E0402", "a scan runs over the first dimension, and this has none", binding.sequence.span)
            sequences.append((binding, value))
            continue
        value = first_of(expansion.evaluate(binding.start, scope))
        starts.append((binding, _start(expansion, value, scope.frame.naming.module, binding.start.span)))
    return sequences, starts


def _length(sequences: list[tuple[syntax.ScanSequence, Value]], written: syntax.Scan) -> int:
    if not sequences:
        raise Fault("E0502", "a scan runs over a sequence at least: item in sequence", written.span)
    (first, value), *others = sequences
    length = value.type.shape[0]
    for binding, other in others:
        if other.type.shape[0] != length:
            raise Fault(
                "E0416",
                f"a scan runs over sequences of one length, and {value.type} and {other.type} differ",
                binding.sequence.span,
                labels=(Label(first.sequence.span, str(value.type)),),
            )
    return length


def _next_states(expansion: Expansion, starts: list[tuple[syntax.ScanState, State]], inner: Scope) -> list[Value]:
    return [
        value
        for binding, start in starts
        for value in _next(expansion, binding, start, first_of(inner.names[binding.name]), inner)
    ]


def _next(expansion: Expansion, binding: syntax.ScanState, start: State, value: Any, inner: Scope) -> Iterator[Value]:
    """The tensors of a state after a step, which has the lists, types and shapes of its start."""
    if value is POISON:
        raise Poisoned
    if isinstance(start, list):
        if not isinstance(value, list) or len(value) != len(start):
            raise Fault(
                "E0415",
                f"the state '{binding.name}' is a list of {len(start)} at the start and {describe(value)} after a step",
                binding.start.span,
            )  # fmt: skip
        for item, following in zip(start, value, strict=True):
            yield from _next(expansion, binding, item, first_of(following), inner)
        return
    if not isinstance(value, Value):
        value = expansion.tensor_of_numbers(value, start.type.element, inner.frame.naming.module, binding.span)
    value = _within(expansion, value, expansion.builder.body)
    if value.type.shape != start.type.shape or value.type.element != start.type.element:
        raise Fault(
            "E0415",
            f"the state '{binding.name}' is {start.type} at the start and {value.type} after a step",
            binding.start.span,
            labels=(Label(visible(value), str(value.type)),),
        )
    yield value


def _within(expansion: Expansion, value: Any, body: Body) -> Value:
    """A value for use inside the body; outer values are captured."""
    if value is POISON:
        raise Poisoned
    assert isinstance(value, Value)
    return expansion.builder.bring(value, body)


def spread_batches(node: Node) -> None:
    """Determines which values of a scan are batched. A state is batched if its initial or its next value is."""
    body: ScanBody = node.attributes["body"]
    for inner, outer in zip((*body.items, *body.states, *body.captured), node.inputs, strict=True):
        inner.batched = outer.batched
    while True:
        _spread(body.nodes)
        changed = [s for s, n in zip(body.states, body.next_states, strict=True) if n.batched and not s.batched]
        if not changed:
            break
        for state in changed:
            state.batched = True
    for value, result in zip(node.outputs, (*body.emitted, *body.states), strict=True):
        value.batched = result.batched


def _spread(nodes: Iterable[Node]) -> None:
    for node in nodes:
        if node.operator == "scan":
            spread_batches(node)
        elif node.inputs:
            primitive = PRIMITIVES.get(node.operator)
            inputs = [value.batched for value in node.inputs]
            batched = primitive.batched(inputs) if primitive is not None else any(inputs)
            for value in node.outputs:
                value.batched = batched
