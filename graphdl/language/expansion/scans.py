"""``scan``: its body is expanded once and runs over the first dimension of the sequences."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from graphdl.diagnostics import Label
from graphdl.graph.builder import Body
from graphdl.graph.model import Node, ScanBody, Value
from graphdl.graph.types import TensorType
from graphdl.language import syntax
from graphdl.language.expansion.builder import at
from graphdl.language.expansion.context import Expansion, header, visible
from graphdl.language.expansion.faults import POISON, Fault, Poisoned
from graphdl.language.expansion.frames import Scope
from graphdl.language.expansion.values import describe, first_of, one_or_more
from graphdl.operators import PRIMITIVES


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
        states = []
        for start, value in starts:
            state = builder.item(value.type, value.batched, module, start.span, start.name)
            inner.names[start.name] = state
            states.append(state)
        expansion.execute(written.body, inner)
        next_states = _next_states(expansion, starts, inner)
        emitted = [_within(expansion, value, body) for value in inner.emitted]
    finally:
        builder.body = outer_body
        frame.in_scan -= 1
        frame.naming.level = level

    captured = [value for value, _ in body.captured]
    inputs = [*(v for _, v in sequences), *(v for _, v in starts), *captured]
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
    return one_or_more(node.outputs)


def _bindings(
    expansion: Expansion, written: syntax.Scan, scope: Scope
) -> tuple[list[tuple[syntax.ScanSequence, Value]], list[tuple[syntax.ScanState, Value]]]:
    sequences: list[tuple[syntax.ScanSequence, Value]] = []
    starts: list[tuple[syntax.ScanState, Value]] = []
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
        if not isinstance(value, Value):
            value = expansion.tensor_of_numbers(value, "float", scope.frame.naming.module, binding.start.span)
        starts.append((binding, value))
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


def _next_states(expansion: Expansion, starts: list[tuple[syntax.ScanState, Value]], inner: Scope) -> list[Value]:
    results = []
    for binding, start in starts:
        value = first_of(inner.names[binding.name])
        if value is POISON:
            raise Poisoned
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
        results.append(value)
    return results


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
