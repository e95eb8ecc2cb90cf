"""The k greatest elements along a dimension, and their indices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from graphdl.graph.types import TensorType
from graphdl.operators.gather import take
from graphdl.operators.primitive import Hyper, Lowering, OperatorError, Primitive
from graphdl.operators.sort import as_rows, from_rows, places_in_order
from graphdl.operators.structure import axis_of, slice_
from graphdl.operators.tensor import Tensor


def _infer(types: Sequence[TensorType], attributes: Mapping[str, Any]) -> Sequence[TensorType]:
    x, k = types[0], attributes["k"]
    axis = axis_of(types, attributes)
    length = x.shape[axis]
    if not 1 <= k <= length:
        raise OperatorError(
            "E0304", f"k = {k} is not from 1 to {length}, the length of dimension {axis} of {x}", inputs=(0,), hyper="k"
        )
    shape = (*x.shape[:axis], k, *x.shape[axis + 1 :])
    return (TensorType(shape, x.element, x.classes), TensorType(shape, "int", length))


def _lower(node: Lowering) -> Sequence[Tensor]:
    x, k = node.inputs[0], node.attributes["k"]
    axis = axis_of(node.types, node.attributes) + (1 if node.batched[0] else 0)
    rows = as_rows(x, axis)
    order = slice_(places_in_order(rows, descending=True), (0, 0), (1, 1), (rows.shape[0], k))
    values = take(rows, order, known=True, own=True)
    return from_rows(values, x.shape, axis), from_rows(order, x.shape, axis)


CATEGORY = "Sorting and prefix sums"

PRIMITIVES: tuple[Primitive, ...] = (
    Primitive(
        "topk", ("x",), _infer, _lower, (Hyper("k", "int"), Hyper("axis", "int", -1)),
        outputs=("values", "indices"), moves=True,
        documentation="The k greatest elements along a dimension, the greatest first, and their indices; of equal "
        "elements the first, and NaN is greater than any number.",
    ),
)  # fmt: skip
