"""Operators that move elements: reshape, transpose, slices, concatenation, padding."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np

from graphdl.graph.types import TensorType
from graphdl.importing import terms
from graphdl.importing.terms import call, where
from graphdl.onnx.step import Step, kind_of
from graphdl.onnx.values import (
    Const,
    Merged,
    MixesExamplesError,
    UnknownValueError,
    UnsupportedNodeError,
    Value,
    position,
    with_element,
    without_batch,
)


def reshaped(value: Value, targets: Sequence[Sequence[int]], sizes: Sequence[int]) -> Value:
    """The value under the ONNX shapes ``targets`` for each of these sizes of the batch.

    The batch stays one dimension if the same number of elements is before it. It may be merged with the dimensions
    next to it.
    """
    if value.batch is None:
        return value.with_term(terms.reshape(value.term, targets[0]))
    first = value.batch + (value.merged == "before")
    before = prod(value.term.shape[:first])
    forms: tuple[Merged, ...] = ("", "after", "before")
    last: Value | None = None
    """The batch merged with the last dimension: only if nothing else fits, which a batch of 1 does not tell apart."""
    for merged in forms:
        for axis in range(len(targets[0])):
            lengths = [target[axis] for target in targets]
            factors = {n // size if n % size == 0 else 0 for n, size in zip(lengths, sizes, strict=True)}
            others = {(*target[:axis], *target[axis + 1 :]) for target in map(tuple, targets)}
            if len(factors) > 1 or 0 in factors or len(others) > 1:
                continue
            (factor,) = factors
            if (factor == 1) != (not merged):
                continue
            if prod(targets[0][:axis]) * (factor if merged == "before" else 1) != before:
                continue
            example = list(targets[0])
            if not merged and len(example) == 2 and value.term.rank > 1:
                flat = terms.block("flatten", value.term, [value.term.type.size])
                return Value(replace(flat, type=TensorType(flat.shape, value.term.element)), value.kind, axis)
            example[axis : axis + 1] = [factor] if merged else []
            found = Value(terms.reshape(value.term, example), value.kind, axis, merged)
            if merged != "after" or axis < len(example) - 1:
                return found
            last = last or found
    if last is not None:
        return last
    raise MixesExamplesError


def _shape_of(value: Value, wanted: Sequence[int], size: int, allow_zero: bool) -> list[int]:
    """The target shape with 0 and -1 replaced."""
    own = value.outer(value.term.shape, size)
    shape = [own[k] if n == 0 and not allow_zero else int(n) for k, n in enumerate(wanted)]
    if -1 in shape:
        shape[shape.index(-1)] = prod(own) // max(1, -prod(shape))
    if 0 in shape:
        raise UnsupportedNodeError("a tensor without elements")
    return shape


def sizes_of(step: Step) -> list[int]:
    """Sizes of the batch to compute with: the fixed one, or two, to find out which numbers depend on it."""
    if step.size is not None:
        return [step.size]
    return [2, 3]


def _reshape(step: Step) -> Value:
    value, wanted = step.value(), step.source(1) if step.has(1) else Const(np.array(step.attribute("shape")))
    if isinstance(wanted, Value):
        raise UnknownValueError(wanted.sources)
    sizes = sizes_of(step)
    rule = bool(step.attribute("allowzero", 0))
    values = [wanted.array, wanted.array if wanted.other is None else wanted.other]
    targets = [_shape_of(value, target.tolist(), size, rule) for target, size in zip(values, sizes, strict=False)]
    return reshaped(value, targets, sizes)


def _flatten(step: Step) -> Value:
    value, sizes = step.value(), sizes_of(step)
    axis = int(step.attribute("axis", 1))
    targets = []
    for size in sizes:
        own = value.outer(value.term.shape, size)
        start = axis + value.rank if axis < 0 else axis
        targets.append([prod(own[:start]), prod(own[start:])])
    return reshaped(value, targets, sizes)


def _squeeze(step: Step) -> Value:
    value, sizes = step.value(), sizes_of(step)
    axes = step.listed(1, "axes")
    targets = []
    for size in sizes:
        own = value.outer(value.term.shape, size)
        dropped = [a % value.rank for a in axes] if axes else [a for a, n in enumerate(own) if n == 1]
        targets.append([n for a, n in enumerate(own) if a not in dropped])
    return reshaped(value, targets, sizes)


def _unsqueeze(step: Step) -> Value:
    value = step.value()
    axes = step.listed(1, "axes")
    rank = value.rank + len(axes)
    places = {a % rank for a in axes}
    own: list[Any] = value.outer(value.term.shape, -1) if not value.merged else list(value.term.shape)
    rest = iter(enumerate(own))
    example, batch = [], None
    for axis in range(rank):
        if axis in places:
            example.append(1)
            continue
        old, length = next(rest)
        if old == value.batch:
            batch = axis
            if not value.merged:
                continue
        example.append(length)
    return Value(terms.reshape(value.term, example), value.kind, batch, value.merged)


def _transpose(step: Step) -> Value:
    value = step.value()
    order = list(step.attribute("perm", range(value.rank - 1, -1, -1)))
    if value.batch is None:
        return value.with_term(terms.transpose(value.term, order))
    batch = order.index(value.batch)
    if value.merged:
        return Value(terms.transpose(value.term, order), value.kind, batch, value.merged)
    inner = [value.axis(axis) for axis in order if axis != value.batch]
    return Value(terms.transpose(value.term, inner), value.kind, batch)


def _expand(step: Step) -> Value:
    value, target = step.value(), step.source(1)
    if isinstance(target, Value):
        raise UnknownValueError(target.sources)
    shape = [int(n) for n in target.array]
    others = shape if target.other is None else [int(n) for n in target.other]
    if value.batch is None:
        growing = [a for a, (m, n) in enumerate(zip(shape, others, strict=True)) if m != n]
        if not growing:
            full = np.broadcast_shapes(value.term.shape, tuple(shape))
            return value.with_term(terms.broadcast_to(value.term, full))
        if len(growing) > 1 or shape[growing[0]] != 2:
            raise MixesExamplesError
        axis = growing[0]  # repeated for each example: the same for all of them
        place = len(shape) - axis
        example = without_batch(value.term.shape, place, "")
        full = np.broadcast_shapes(example, tuple(shape[:axis] + shape[axis + 1 :]))
        return Value(terms.broadcast_to(terms.reshape(value.term, example), full), value.kind, axis)
    sizes = sizes_of(step)
    rank = max(value.rank, len(shape))
    batch = value.batch + rank - value.rank
    first = len(shape) - rank + batch
    if (first >= 0 and shape[first] not in (1, sizes[0])) or value.merged:
        raise MixesExamplesError
    inner = tuple(shape[:first] + shape[first + 1 :]) if first >= 0 else tuple(shape)
    full = np.broadcast_shapes(value.term.shape, inner)
    return Value(terms.broadcast_to(value.term, full), value.kind, batch)


def _tile(step: Step) -> Value:
    value = step.value()
    term = value.term
    for axis, count in enumerate(step.constants(1)):
        if count != 1:
            inner = value.axis(axis)
            term = step.keep(term)
            term = terms.concat([term] * count, inner)
    return value.with_term(term)


def _concat(step: Step) -> Value:
    found = [step.source(k) for k in range(len(step.inputs))]
    found = [f for f in found if not (isinstance(f, Const) and f.array.size == 0)]
    place, merged = position(found)
    rank = found[0].rank
    batch = None if place is None else rank - place
    outer = int(step.attribute("axis", 1)) % rank
    if outer == batch:
        raise MixesExamplesError
    operands = []
    for f in found:
        value = step.tensor(f) if isinstance(f, Const) else f
        term = value.term
        if value.batch is None and place is not None:
            term = terms.reshape(term, without_batch(term.shape, place, merged))
        operands.append(term)
    axis = outer if batch is None or merged or outer < batch else outer - 1
    return Value(terms.concat(operands, axis), kind_of(found[0]), batch, merged)


def _split(step: Step) -> list[Value | Const | None]:
    value = step.value()
    axis = step.axis(value, 0)
    length, count = value.term.shape[axis], len(step.outputs)
    sizes = step.listed(1, "split")
    if not sizes:
        count = int(step.attribute("num_outputs", count))
        each = -(-length // count)
        sizes = [min(each, length - k * each) for k in range(count)]
    parts: list[Value | Const | None] = []
    start = 0
    for k, size in enumerate(sizes):
        if step.wants(k):
            if not size:  # nothing, which only a Concat can use
                parts.append(Const(np.zeros(0, value.kind)))
                continue
            parts.append(value.with_term(terms.sliced(value.term, axis, start, start + size)))
        else:
            parts.append(None)
        start += size
    return parts


def _slice(step: Step) -> Value:
    value = step.value()
    if step.has(1):
        starts, stops = step.constants(1), step.constants(2)
        axes = step.constants(3, list(range(len(starts))))
        strides = step.constants(4, [1] * len(starts))
    else:
        starts, stops = step.attribute("starts"), step.attribute("ends")
        axes, strides = step.attribute("axes", list(range(len(starts)))), [1] * len(starts)
    term = value.term
    for start, stop, axis, stride in zip(starts, stops, axes, strides, strict=True):
        if value.batch == axis % value.rank and start == 0 and stride == 1 and stop >= (step.size or 2**31):
            continue
        inner = value.axis(axis)
        begin, end, by = slice(int(start), int(stop), int(stride)).indices(term.shape[inner])
        if not range(begin, end, by):
            raise UnsupportedNodeError("a tensor without elements")
        term = terms.sliced(term, inner, begin, end, by)
    return value.with_term(term)


def _pad(step: Step) -> Value:
    value, mode = step.value(), step.attribute("mode", "constant")
    amounts = step.constants(1) if step.has(1) else step.attribute("pads", step.attribute("paddings"))
    axes = step.constants(3, list(range(value.rank)))
    half = len(amounts) // 2
    before, after = [0] * value.term.rank, [0] * value.term.rank
    for axis, low, high in zip(axes, amounts[:half], amounts[half:], strict=True):
        if low or high:
            inner = value.axis(axis)
            before[inner], after[inner] = low, high
    if mode == "constant":
        filled = step.source(2) if step.has(2) else Const(np.array(step.attribute("value", 0.0)))
        if isinstance(filled, Const):
            return value.with_term(terms.padded(value.term, before, after, filled.known.reshape(()).item()))
        if filled.batch is not None:
            raise MixesExamplesError
        x = terms.padded(value.term, before, after)
        inside = terms.padded(call("fill", shape=list(value.term.shape), value=1.0), before, after)
        return value.with_term(where(inside > 0, x, terms.reshape(filled.term, ())))
    x = terms.padded(value.term, [min(0, n) for n in before], [min(0, n) for n in after])
    before, after = [max(0, n) for n in before], [max(0, n) for n in after]
    if not any(before) and not any(after):
        return value.with_term(x)
    return value.with_term(call("pad", x, before=before, after=after, mode=mode))


def _depth_to_space(step: Step) -> Value:
    value, size = step.value(), int(step.attribute("blocksize"))
    lead, (c, h, w) = value.term.shape[:-3], value.term.shape[-3:]
    d = c // size**2
    n = len(lead)
    if step.attribute("mode", "DCR") == "DCR":
        shape, order = (*lead, size, size, d, h, w), [n + 2, n + 3, n, n + 4, n + 1]
    else:
        shape, order = (*lead, d, size, size, h, w), [n, n + 3, n + 1, n + 4, n + 2]
    moved = terms.transpose(terms.reshape(value.term, shape), [*range(n), *order])
    return value.with_term(terms.reshape(moved, (*lead, d, h * size, w * size)))


def _space_to_depth(step: Step) -> Value:
    value, size = step.value(), int(step.attribute("blocksize"))
    lead, (c, h, w) = value.term.shape[:-3], value.term.shape[-3:]
    n = len(lead)
    parts = terms.reshape(value.term, (*lead, c, h // size, size, w // size, size))
    order = (
        [n + 2, n + 4, n, n + 1, n + 3] if step.attribute("mode", "DCR") == "DCR" else [n, n + 2, n + 4, n + 1, n + 3]
    )
    moved = terms.transpose(parts, [*range(n), *order])
    return value.with_term(terms.reshape(moved, (*lead, c * size**2, h // size, w // size)))


def _trilu(step: Step) -> Value:
    value, k = step.value(), int(step.constant(1).item()) if step.has(1) else 0
    if value.batch is not None and value.batch >= value.rank - 2:
        raise MixesExamplesError
    rows, columns = value.term.shape[-2:]
    zero = 0.0 if value.kind.kind == "f" else False if value.kind.kind == "b" else 0
    row = terms.reshape(terms.numbers_below(rows), (rows, 1))
    column = terms.numbers_below(columns)
    kept = column >= row + k if step.attribute("upper", 1) else column <= row + k
    return value.with_term(with_element(where(kept, value.term, zero), value.kind))


def _reverse_sequence(step: Step) -> Value:
    value, lengths = step.value(), step.value(1)
    time, batch = int(step.attribute("time_axis", 0)), int(step.attribute("batch_axis", 1))
    if value.batch is not None and (value.batch != batch or lengths.batch != 0):
        raise MixesExamplesError
    axis = value.axis(time)
    shape = [n if a == axis else 1 for a, n in enumerate(value.term.shape)]
    places = terms.reshape(terms.numbers_below(value.term.shape[axis]), shape)
    length = lengths.term
    if value.batch is None:
        length = terms.reshape(length, [n if a == batch else 1 for a, n in enumerate(value.term.shape)])
    place = where(places < length, length - 1 - places, places)
    index = terms.broadcast_to(step.keep(place), value.term.shape)
    return value.with_term(call("gather", value.term, index, axis=axis))


TABLE: dict[str, Callable[[Step], Any]] = {
    "Reshape": _reshape,
    "Flatten": _flatten,
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
    "Transpose": _transpose,
    "Expand": _expand,
    "Tile": _tile,
    "Concat": _concat,
    "Split": _split,
    "Slice": _slice,
    "Pad": _pad,
    "DepthToSpace": _depth_to_space,
    "SpaceToDepth": _space_to_depth,
    "Trilu": _trilu,
    "ReverseSequence": _reverse_sequence,
}
