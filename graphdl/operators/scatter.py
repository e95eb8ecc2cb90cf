"""Scatter: values that are written to, or combined with, the elements of a tensor at given indices."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

from graphdl.graph.limits import GREATEST, LEAST
from graphdl.graph.types import TensorType
from graphdl.operators.elementwise import apply, cast
from graphdl.operators.gather import segment_sum, take
from graphdl.operators.primitive import Hyper, Lowering, OperatorError, Primitive
from graphdl.operators.reduction import reduce
from graphdl.operators.structure import axis_of, broadcast_to, positions, reshape, transpose
from graphdl.operators.tensor import Tensor

_KINDS = ("set", "add", "multiply", "maximum", "minimum")


def _infer(types: Sequence[TensorType], attributes: Mapping[str, Any]) -> Sequence[TensorType]:
    x, index, values = types
    axis = axis_of(types, attributes)
    if attributes["reduce"] not in _KINDS:
        raise OperatorError("E0306", f"reduce is one of {', '.join(_KINDS)}", hyper="reduce")
    if index.element != "int":
        raise OperatorError("E0301", f"scatter wants ints as its index, and found {index}", inputs=(1,))
    others = [shape[:axis] + shape[axis + 1 :] for shape in (x.shape, index.shape)]
    if index.shape != values.shape or index.rank != x.rank or others[0] != others[1]:
        raise OperatorError(
            "E0409", f"scatter along dimension {axis} of {x} wants an index and values that differ from it in that "
            f"dimension alone, and found {index} and {values}", inputs=(0, 1, 2),
        )  # fmt: skip
    if values.element != x.element:
        raise OperatorError("E0301", f"scatter writes {values} into {x}: elements of another type", inputs=(0, 2))
    return (TensorType(x.shape, x.element),)


def _lower(node: Lowering) -> Sequence[Tensor]:
    lead = 1 if any(node.batched) else 0
    axis = axis_of(node.types, node.attributes) + lead
    inputs = [
        broadcast_to(x, (node.batch, *x.shape)) if lead and not own else x
        for x, own in zip(node.inputs, node.batched, strict=True)
    ]
    order = (*(d for d in range(inputs[0].rank) if d != axis), axis)
    last = [transpose(x, order) for x in inputs]
    rows = prod(last[0].shape[:-1])
    x, index, values = (reshape(each, (rows, each.shape[-1])) for each in last)
    y = _scattered(x, index, values, str(node.attributes["reduce"]))
    back = (*range(axis), len(order) - 1, *range(axis, len(order) - 1))
    return (transpose(reshape(y, last[0].shape), back),)


def _scattered(x: Tensor, index: Tensor, values: Tensor, kind: str) -> Tensor:
    """Rows ``x`` [rows, n] with ``values`` [rows, k] at ``index`` [rows, k]. An index out of range hits nothing."""
    (rows, length), count = x.shape, index.shape[1]
    if kind == "add" and x.element == "float":
        sums = segment_sum(index, reshape(values, (rows, count, 1)), length)
        return x + reshape(sums, (rows, length))
    hit = apply("equal", reshape(index, (rows, 1, count)), positions((rows, length, count), (1,)))
    if kind == "set":  # the last one of several
        at = apply("where", hit, positions((rows, length, count), (2,)), -1)
        latest = reduce("max", at, (2,), keep=False)
        return apply("where", apply("less", latest, 0), x, take(values, latest, known=False, own=True))
    if x.element == "bool":
        combined = _combined(hit, cast(values, "int"), kind)
        return apply("not_equal", apply(kind, cast(x, "int"), combined), 0)
    return apply(kind, x, _combined(hit, values, kind))


_REDUCED = {"add": "sum", "multiply": "product", "maximum": "max", "minimum": "min"}
_NEUTRAL: Mapping[str, tuple[float, int]] = {
    "add": (0.0, 0),
    "multiply": (1.0, 1),
    "maximum": (-math.inf, LEAST),
    "minimum": (math.inf, GREATEST),
}


def _combined(hit: Tensor, values: Tensor, kind: str) -> Tensor:
    """The combination of the values that hit each element, ``[rows, n]``."""
    neutral = _NEUTRAL[kind][values.element == "int"]
    rows, count = values.shape
    chosen = apply("where", hit, reshape(values, (rows, 1, count)), neutral)
    return reduce(_REDUCED[kind], chosen, (2,), keep=False)


CATEGORY = "Classes and look-up"

PRIMITIVES: tuple[Primitive, ...] = (
    Primitive(
        "scatter", ("x", "index", "values"), _infer, _lower,
        (Hyper("axis", "int", 0), Hyper("reduce", "string", "set", _KINDS)),
        documentation='x with `values` at `index` along a dimension. With `reduce = "set"` the last of several values '
        'for an element stays; "add", "multiply", "maximum" and "minimum" combine it with all of them. An index out of '
        "range changes nothing.",
    ),
)  # fmt: skip
