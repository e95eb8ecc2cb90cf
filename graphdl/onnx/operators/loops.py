"""Operators with graphs inside: ``If`` whose condition is known, and loops of a known number of steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from graphdl.graph.types import TensorType
from graphdl.importing import terms
from graphdl.importing.terms import ATOM, Term, call
from graphdl.onnx.step import INT64, Step
from graphdl.onnx.values import Const, MixesExamplesError, UnsupportedNodeError, Value

Results = Sequence[Value | Const | None]


def _if(step: Step) -> Results:
    branch = "then_branch" if step.constant(0).all() else "else_branch"
    return step.inside(step.attribute(branch), ())


def _scan(step: Step) -> Results:
    if step.version < 9:
        raise UnsupportedNodeError("a Scan of version 8, which has a batch of its own")
    body, count = step.attribute("body"), int(step.attribute("num_scan_inputs"))
    states = len(step.inputs) - count
    emitted = len(body.output) - states
    axes, backwards = (step.attribute(f"scan_input_{name}", [0] * count) for name in ("axes", "directions"))
    items = [_sequence(step, step.value(states + k), int(axes[k]), bool(backwards[k])) for k in range(count)]
    starts = [step.value(k) for k in range(states)]
    ports = [port.name for port in body.input]
    found = _scanned(step, [*zip(ports[states:], items, strict=True)], [*zip(ports, starts, strict=False)],
                     lambda variables: step.inside(body, variables[count:] + variables[:count]))  # fmt: skip
    axes, backwards = (step.attribute(f"scan_output_{name}", [0] * emitted) for name in ("axes", "directions"))
    return [
        *found[:states],
        *(x if x is None else _along(x, int(axes[k]), bool(backwards[k])) for k, x in enumerate(found[states:])),
    ]


def _loop(step: Step) -> Results:
    """A ``Loop`` that counts to a known number."""
    body = step.attribute("body")
    counter, _, *ports = (port.name for port in body.input)
    starts = [step.value(k) for k in range(2, len(step.inputs))]
    if not step.has(0):
        raise UnsupportedNodeError("a loop whose number of steps is computed")
    steps = int(step.constant(0).item()) if not step.has(1) or step.constant(1).all() else 0
    if steps <= 0:
        raise UnsupportedNodeError("a loop without steps")

    def run(variables: list[Value]) -> Results:
        goes_on, *results = step.inside(body, [variables[0], Const(np.array(True)), *variables[1:]])
        if goes_on is not None and not (isinstance(goes_on, Const) and goes_on.known.all()):
            raise UnsupportedNodeError("a loop whose number of steps is computed")
        return results

    numbers = Value(terms.numbers_below(steps), INT64)
    found = _scanned(step, [(counter, numbers)], [*zip(ports, starts, strict=True)], run)
    return [*found[: len(starts)], *(x if x is None else _along(x, 0, False) for x in found[len(starts) :])]


def _sequence(step: Step, value: Value, axis: int, backwards: bool) -> Value:
    """A tensor whose first dimension, behind the batch, is the one that a loop runs over."""
    inner, outer = value.axis(axis), axis % value.rank
    if value.merged:
        raise MixesExamplesError
    order = [inner, *(d for d in range(value.term.rank) if d != inner)]
    x = terms.transpose(value.term, order)
    batch = None if value.batch is None else value.batch - (value.batch > outer)
    return Value(call("reverse", x, axis=0) if backwards else x, value.kind, batch, sources=value.sources)


def _along(value: Value, axis: int, backwards: bool) -> Value:
    """An emitted sequence with its first dimension at a place of the ONNX tensor. ``batch`` is that of an element."""
    x = call("reverse", value.term, axis=0) if backwards else value.term
    place = axis % value.rank
    batch = None if value.batch is None else value.batch + (value.batch >= place)
    inner = place - (batch is not None and batch < place)
    order = [*range(1, inner + 1), 0, *range(inner + 1, x.rank)]
    return Value(terms.transpose(x, order), value.kind, batch)


def _scanned(
    step: Step,
    items: Sequence[tuple[str, Value]],
    states: Sequence[tuple[str, Value]],
    run: Callable[[list[Value]], Results],
) -> list[Value | None]:
    """A scan over sequences, with the starts of its states. ``run`` translates the body for items and states, and
    returns the next states and what is emitted. The results are the last states and the emitted sequences; the batch of
    a sequence is that of its elements.
    """
    writer = step.writer
    sequences = [value.term if value.term.level == ATOM else step.keep(value.term) for _, value in items]
    starts = [_start(step, value) for _, value in states]
    names = [writer.fresh(name) for name, _ in [*items, *states]]
    variables = [
        *(_variable(name, v, v.term.shape[1:]) for name, (_, v) in zip(names, items, strict=False)),
        *(_variable(name, v, v.term.shape) for name, (_, v) in zip(names[len(items) :], states, strict=True)),
    ]
    with writer.inside(names) as lines:
        results = run(variables)
        if any(found is None for found in results):
            return [None] * len(results)  # the reason is told already
        values = [step.tensor(found) if isinstance(found, Const) else found for found in results if found is not None]
        following, emitted = values[: len(states)], values[len(states) :]
        for (_, start), new in zip(states, following, strict=True):
            if start.batch != new.batch or new.merged:
                raise MixesExamplesError
            if start.term.shape != new.term.shape:
                raise UnsupportedNodeError(f"a state of shape {list(start.term.shape)} becomes {list(new.term.shape)}")
        if any(value.merged for value in emitted):
            raise MixesExamplesError
        used = [k for k in range(len(emitted)) if step.wants(len(states) + k)]
        ends = [*(emitted[k].term.text for k in used), *(value.term.text for value in following)]
        body = lines(ends)
    if used:
        body.append(f"emit {', '.join(ends[: len(used)])}")
    if states:
        body.append(f"{', '.join(names[len(items) :])} = {', '.join(ends[len(used) :])}")
    head = [f"{name} in {x.text}" for name, x in zip(names, sequences, strict=False)]
    head += [f"{name} = {x.text}" for name, x in zip(names[len(items) :], starts, strict=True)]
    text = f"scan {', '.join(head)} {{\n" + "\n".join(body) + "\n}"
    length = sequences[0].shape[0]
    kinds = [TensorType((length, *emitted[k].term.shape), emitted[k].term.element) for k in used]
    kinds += [value.term.type for value in following]
    if not kinds:
        return [None] * len(results)
    labels = [step.outputs[len(states) + k] for k in used]
    labels += [label or name for label, (name, _) in zip(step.outputs, states, strict=False)]
    kept = writer.keep(*(Term(text, kind, 0) for kind in kinds), hints=labels)
    places = {len(states) + k: term for k, term in zip(used, kept, strict=False)}
    places |= dict(enumerate(kept[len(used) :]))
    return [Value(places[k], value.kind, value.batch) if k in places else None for k, value in enumerate(values)]


def _start(step: Step, value: Value) -> Term:
    """The start of a state, with its type: a number alone would be a float."""
    return value.term if value.term.level == ATOM else step.keep(value.term)


def _variable(name: str, value: Value, shape: Sequence[int]) -> Value:
    kind = TensorType(tuple(shape), value.term.element)
    return Value(Term(name, kind), value.kind, value.batch, sources=value.sources)


TABLE: dict[str, Callable[[Step], Any]] = {"If": _if, "Scan": _scan, "Loop": _loop}
