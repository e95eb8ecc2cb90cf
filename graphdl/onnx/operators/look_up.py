"""Operators indexed by ints: gather, scatter, one-hot, top-k, prefix sums."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from graphdl.importing import terms
from graphdl.importing.terms import Term, call, calls, where
from graphdl.onnx.step import INT64, Step
from graphdl.onnx.values import Const, MixesExamplesError, UnsupportedNodeError, Value, with_element


def _index(step: Step, position: int, length: int) -> Value:
    """An index. ONNX counts negative ones from the end. Known ones are written without a sign."""
    found = step.source(position)
    if isinstance(found, Const):
        array = found.known.astype(np.int64)
        return Value(terms.literal(np.where(array < 0, array + length, array)), INT64)
    x = step.keep(found.term)
    return found.with_term(where(x < 0, x + length, x))


def _gather(step: Step) -> Value:
    table, outer = step.value(0), int(step.attribute("axis", 0))
    axis = table.axis(outer)
    known, index = step.source(0), step.source(1)
    if isinstance(index, Const):
        places = index.known
        if table.merged:
            raise MixesExamplesError
        outer %= table.rank
        batch = table.batch
        if batch is not None and batch > outer:
            batch += places.ndim - 1
        length = table.term.shape[axis]
        if not places.ndim:
            return Value(terms.indexed(table.term, axis, int(places) % length), table.kind, batch)
        return Value(call("take", table.term, _index(step, 1, length).term, axis=axis), table.kind, batch)
    weights = isinstance(known, Const) and table.kind.kind == "f"
    chosen = index if weights and index.given is not None else _index(step, 1, table.term.shape[axis])
    if table.batch is not None and index.batch is not None:
        raise MixesExamplesError  # every example of the one is indexed by every example of the other
    taken = call("take", table.term, chosen.term, axis=axis)
    if index.batch is not None:
        return Value(taken, table.kind, axis + index.batch, index.merged)
    if table.batch is None:
        return Value(taken, table.kind)
    batch = table.batch + (index.rank - 1 if table.batch > outer % table.rank else 0)
    return Value(taken, table.kind, batch, table.merged)


def _gather_elements(step: Step) -> Value:
    value = step.value(0)
    axis = value.axis(int(step.attribute("axis", 0)))
    index = _index(step, 1, value.term.shape[axis])
    x, places = _together(value, index)
    for other in range(x.rank):
        if other != axis:
            x = terms.sliced(x, other, 0, places.shape[other])
    return _like(value, index, call("gather", x, places, axis=axis))


def _together(value: Value, index: Value) -> tuple[Term, Term]:
    """A tensor and an index of one rank, of which both or one have the same batch."""
    batches = {v.batch for v in (value, index) if v.batch is not None}
    if len(batches) > 1 or value.merged or index.merged:
        raise MixesExamplesError
    if batches and (value.batch is None or index.batch is None):
        raise MixesExamplesError
    return value.term, index.term


def _like(value: Value, index: Value, term: Term) -> Value:
    batched = value if value.batch is not None else index
    return Value(with_element(term, value.kind), value.kind, batched.batch)


def _flat_index(step: Step, shape: tuple[int, ...], index: Value) -> Term:
    """Indices of ``GatherND`` and ``ScatterND`` as places in row-major order of the dimensions that they count.

    ``shape`` are these dimensions; the last dimension of the index holds one for each.
    """
    strides = [prod(shape[k + 1 :]) for k in range(len(shape))]
    x = step.keep(index.term)
    lengths = terms.literal(np.array(shape, np.int64))
    places = where(x < 0, x + lengths, x)
    return call("sum", places * terms.literal(np.array(strides, np.int64)), axis=[x.rank - 1])


def _gather_nd(step: Step) -> Value:
    value, lead = step.value(0), int(step.attribute("batch_dims", 0))
    found = step.source(1)
    index = step.tensor(found) if isinstance(found, Const) else found
    if value.batch is not None or index.batch is not None:
        if (value.batch, index.batch) != (0, 0) or lead < 1 or value.merged or index.merged:
            raise MixesExamplesError
        lead -= 1
    depth = index.term.shape[-1]
    shape = value.term.shape
    counted, rest = shape[lead : lead + depth], shape[lead + depth :]
    places = _flat_index(step, counted, index)
    if lead:
        raise UnsupportedNodeError("batch_dims within an example")
    rows = terms.reshape(value.term, (prod(counted), *rest))
    return value.with_term(call("take", rows, places, axis=0))


_KINDS = {"none": "set", "add": "add", "mul": "multiply", "max": "maximum", "min": "minimum"}


def _scatter_elements(step: Step) -> Value:
    value, values = step.value(0), step.value(2)
    axis = value.axis(int(step.attribute("axis", 0)))
    index = _index(step, 1, value.term.shape[axis])
    if len({value.batch, index.batch, values.batch}) > 1 or value.merged:
        raise MixesExamplesError
    kind = _KINDS[str(step.attribute("reduction", "none"))]
    x, places, updates = value.term, index.term, values.term
    for other in range(x.rank):
        if other != axis and places.shape[other] != x.shape[other]:
            raise UnsupportedNodeError("an index that is smaller than the data in another dimension")
    return value.with_term(call("scatter", x, places, updates, axis=axis, reduce=kind))


def _scatter_nd(step: Step) -> Value:
    value, index, values = step.value(0), step.value(1), step.value(2)
    if any(v.batch is not None for v in (value, index, values)):
        raise MixesExamplesError
    kind = _KINDS[str(step.attribute("reduction", "none"))]
    depth = index.term.shape[-1]
    counted, rest = value.term.shape[:depth], value.term.shape[depth:]
    places = _flat_index(step, counted, index)
    count, width = prod(places.shape), prod(rest)
    rows = terms.reshape(value.term, (prod(counted), width))
    at = terms.broadcast_to(terms.reshape(places, (count, 1)), (count, width))
    written = call("scatter", rows, at, terms.reshape(values.term, (count, width)), axis=0, reduce=kind)
    return value.with_term(terms.reshape(written, value.term.shape))


def _one_hot(step: Step) -> Value:
    index, depth = step.value(0), int(step.constant(1).reshape(()).item())
    outer = int(step.attribute("axis", -1)) % (index.rank + 1)
    batch = index.batch
    if batch is not None and outer <= batch:
        if index.merged:
            raise MixesExamplesError
        axis, batch = outer, batch + 1
    else:
        axis = outer - (batch is not None and not index.merged)
    x = with_element(index.term, INT64)
    shape = (*x.shape[:axis], 1, *x.shape[axis:])
    column = terms.reshape(step.keep(where(x < 0, x + depth, x)), shape)
    places = terms.reshape(terms.numbers_below(depth), [depth if a == axis else 1 for a in range(len(shape))])
    hit = terms.equal(places, column)
    source = step.source(2)
    if isinstance(source, Const):
        off, on = source.known.tolist()
        kind = source.array.dtype
    else:
        off, on = (terms.indexed(source.term, 0, k) for k in (0, 1))
        kind = source.kind
        if source.batch is not None:
            raise MixesExamplesError
    return Value(with_element(where(hit, on, off), kind), kind, batch, index.merged)


def _top_k(step: Step) -> list[Value]:
    value = step.value(0)
    k = int(step.constant(1).reshape(()).item()) if step.has(1) else int(step.attribute("k"))
    axis = value.axis(int(step.attribute("axis", -1)))
    largest = bool(step.attribute("largest", 1))
    x = value.term if largest else -value.term
    values, places = step.writer.keep(*calls("topk", x, k=k, axis=axis))
    return [value.with_term(values if largest else -values), value.with_term(places, INT64)]


def _prefix_sum(step: Step) -> Value:
    value = step.value(0)
    axis = value.axis(int(step.constant(1).reshape(()).item()))
    backwards = bool(step.attribute("reverse", 0))
    x = call("reverse", value.term, axis=axis) if backwards else value.term
    y = call("cumsum", x, axis=axis, exclusive=bool(step.attribute("exclusive", 0)))
    return value.with_term(call("reverse", y, axis=axis) if backwards else y)


def _prefix_product(step: Step) -> Value:
    """For each element the product of those up to it, or before it."""
    value = step.value(0)
    axis = value.axis(int(step.constant(1).reshape(()).item()))
    x, length = value.term, value.term.shape[axis]
    last = terms.transpose(x, [*(d for d in range(x.rank) if d != axis), axis])
    row = terms.reshape(terms.numbers_below(length), (length, 1))
    column = terms.numbers_below(length)
    mask = row < column if step.attribute("exclusive", 0) else row <= column
    if step.attribute("reverse", 0):
        mask = row > column if step.attribute("exclusive", 0) else row >= column
    factors = where(mask, terms.reshape(last, (*last.shape, 1)), 1.0 if x.element == "float" else 1)
    y = call("product", factors, axis=[last.rank - 1])
    back = [*range(axis), last.rank - 1, *range(axis, last.rank - 1)]
    return value.with_term(terms.transpose(y, back))


def _compress(step: Step) -> Value:
    value, chosen = step.value(0), np.flatnonzero(step.constant(1))
    if not len(chosen):
        raise UnsupportedNodeError("a tensor without elements")
    if step.attribute("axis") is None:
        if value.batch is not None:
            raise MixesExamplesError
        flat = terms.reshape(value.term, (value.term.type.size,))
        return value.with_term(call("take", flat, terms.literal(chosen), axis=0))
    axis = value.axis(int(step.attribute("axis")))
    return value.with_term(call("take", value.term, terms.literal(chosen), axis=axis))


TABLE: dict[str, Callable[[Step], Any]] = {
    "Gather": _gather,
    "GatherElements": _gather_elements,
    "GatherND": _gather_nd,
    "Scatter": _scatter_elements,
    "ScatterElements": _scatter_elements,
    "ScatterND": _scatter_nd,
    "OneHot": _one_hot,
    "TopK": _top_k,
    "CumSum": _prefix_sum,
    "CumProd": _prefix_product,
    "Compress": _compress,
}
