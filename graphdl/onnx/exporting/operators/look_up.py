"""Look-up by index. An index of a class type is in range; any other is tested, and NaN stands where it is not."""

from __future__ import annotations

import math

import numpy as np

from graphdl.graph.limits import LEAST
from graphdl.graph.types import Element
from graphdl.onnx.exporting.step import Step
from graphdl.onnx.exporting.terms import Term
from graphdl.operators.structure import axis_of

_MISSING: dict[Element, float] = {"float": math.nan, "int": LEAST, "bool": 0}


def _class(step: Step) -> str:
    classes = step.attributes["classes"]
    from_zero = step.op("Max", step.name(step.inputs[0]), step.number(0, "int"))
    return step.op("Min", from_zero, step.number(classes - 1, "int"))


def _one_hot(step: Step) -> str:
    (x,) = step.inputs
    classes, index = step.outputs[0].shape[-1], step.name(x)
    if x.type.classes is None:  # ONNX counts negative ones from the end
        found, _ = _in_range(step, index, classes)
        index = step.op("Where", found, index, step.number(classes, "int"))
    index = step.cast_to(index, np.int64)
    return step.op("OneHot", index, step.array(np.array(classes)), step.array(np.array([0, 1], np.float32)), axis=-1)


def _is_known(index: Term, length: int) -> bool:
    """Whether all indices are in range."""
    if index.value is not None:
        return bool(((index.value >= 0) & (index.value < length)).all())
    return index.type.classes is not None


def _in_range(step: Step, index: str, length: int) -> tuple[str, str]:
    """Whether each index is in range, and the indices with 0 in place of the others."""
    from_zero = step.op("GreaterOrEqual", index, step.number(0, "int"))
    found = step.op("And", from_zero, step.op("Less", index, step.number(length, "int")))
    return found, step.op("Where", found, index, step.number(0, "int"))


def _or_missing(step: Step, found: str, y: str, element: Element) -> str:
    if element == "bool":
        return step.op("And", found, y)
    return step.op("Where", found, y, step.number(_MISSING[element], element))


def _along(step: Step, x: str, index: str, axis: int, length: int, *, known: bool) -> str:
    """The elements of ``x`` at an index that is like it in all dimensions but ``axis``."""
    if known:
        return step.op("GatherElements", x, index, axis=axis)
    found, safe = _in_range(step, index, length)
    return _or_missing(step, found, step.op("GatherElements", x, safe, axis=axis), step.types[0].element)


def _both(step: Step) -> tuple[str, str, int]:
    """The tensor and the index, with the batch if either has it, and the dimension that the index counts."""
    axis = axis_of(step.types, step.attributes)
    if not step.batched:
        return step.name(step.inputs[0]), step.name(step.inputs[1]), axis
    return step.for_each(step.inputs[0]), step.for_each(step.inputs[1]), axis + 1


def _pick(step: Step) -> str:
    x, index, axis = _both(step)
    length = step.types[0].shape[axis - step.batched]
    known = _is_known(step.inputs[1], length)
    return step.squeeze(_along(step, x, step.unsqueeze(index, axis), axis, length, known=known), axis)


def _gather(step: Step) -> str:
    x, index, axis = _both(step)
    length = step.types[0].shape[axis - step.batched]
    return _along(step, x, index, axis, length, known=_is_known(step.inputs[1], length))


def _rank_of(step: Step) -> str:
    """The number of elements before the chosen one in descending order, as the primitive counts them."""
    x, index, axis = _both(step)
    element, length = step.types[0].element, step.types[0].shape[axis - step.batched]
    known = _is_known(step.inputs[1], length)
    place = step.unsqueeze(index, axis)
    chosen = _along(step, x, place, axis, length, known=known)
    if element == "bool":
        x, chosen, element = step.cast(x, "bool", "int"), step.cast(chosen, "bool", "int"), "int"
    rank = step.types[0].rank + step.batched
    positions = np.arange(length, dtype=np.int32).reshape([length if d == axis else 1 for d in range(rank)])
    earlier = step.op("Less", step.array(positions), place)
    if not known:
        earlier = step.op("Or", earlier, step.op("Less", place, step.number(0, "int")))
    tied, before = step.op("Equal", x, chosen), step.op("Greater", x, chosen)
    if element == "float":
        lost, missing = step.op("IsNaN", chosen), step.op("IsNaN", x)
        tied = step.op("Or", tied, step.op("And", lost, missing))
        before = step.op("Or", before, step.op("And", lost, step.op("Not", missing)))
    before = step.op("Or", before, step.op("And", tied, earlier))
    return step.op("ReduceSum", step.cast(before, "bool", "float"), step.ints(axis), keepdims=0)


def _take(step: Step) -> str:
    table, index = step.inputs
    axis, length = axis_of(step.types, step.attributes), step.types[0].shape[axis_of(step.types, step.attributes)]
    known = _is_known(index, length)
    rows, places = step.name(table), step.name(index)
    if not known:
        found, places = _in_range(step, places, length)
    lead, rank = int(step.batched), index.type.rank
    if table.batched and index.batched:
        order = [0, axis + 1, *(d for d in range(1, table.rank) if d != axis + 1)]
        y = step.op("GatherND", step.transpose(rows, order), _deeper(step, places), batch_dims=1)
        # the dimensions of the index move to the place of the one that they replace
        rest = range(1 + rank, rank + table.rank - 1)
        y = step.transpose(y, [0, *rest[:axis], *range(1, 1 + rank), *rest[axis:]])
    else:
        y = step.op("Gather", rows, places, axis=axis + table.batched)
        if index.batched:  # the batch becomes the first dimension
            others = [d for d in range(len(step.outputs[0].shape) + 1) if d != axis]
            y = step.transpose(y, [axis, *others])
    if known:
        return y
    behind = step.types[0].rank - axis - 1
    shape = [*[1] * axis, *index.type.shape, *[1] * behind]
    found = step.reshape(found, shape, index.batched) if axis or behind else found
    if step.batched and not index.batched:
        found = step.unsqueeze(found, 0)
    return _or_missing(step, found, y, table.type.element) if lead + rank or rank == 0 else y


def _deeper(step: Step, places: str) -> str:
    """Indices as GatherND wants them: ints of 64 bits, with a last dimension of length 1."""
    return step.unsqueeze(step.cast_to(places, np.int64), -1)


_COMBINED = {"set": "none", "add": "add", "multiply": "mul", "maximum": "max", "minimum": "min"}


def _scatter(step: Step) -> str:
    """Values written at an index. What is out of range goes to a place behind the others, which is cut off again."""
    names = [step.for_each(x) for x in step.inputs] if step.batched else step.names()
    x, index, values = names
    axis = axis_of(step.types, step.attributes) + step.batched
    kind, length = step.attributes["reduce"], step.types[0].shape[axis - step.batched]
    element = step.types[0].element
    if element == "bool":
        x, values = step.cast(x, "bool", "int"), step.cast(values, "bool", "int")
    known = _is_known(step.inputs[1], length)
    if not known:
        rank = step.types[0].rank + step.batched
        pads = [0] * rank + [int(d == axis) for d in range(rank)]
        x = step.op("Pad", x, step.ints(*pads))
        found, _ = _in_range(step, index, length)
        index = step.op("Where", found, index, step.number(length, "int"))
    y = step.op("ScatterElements", x, index, values, axis=axis, reduction=_COMBINED[kind])
    if not known:
        y = step.op("Slice", y, step.ints(0), step.ints(length), step.ints(axis))
    return step.cast(y, "int", "bool") if element == "bool" else y


TABLE = {
    "class": _class,
    "one_hot": _one_hot,
    "pick": _pick,
    "gather": _gather,
    "rank_of": _rank_of,
    "take": _take,
    "scatter": _scatter,
}
