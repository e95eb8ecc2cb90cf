"""Sorting along a dimension: the elements in order, and their original indices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

from graphdl.graph.types import TensorType
from graphdl.operators.elementwise import cast
from graphdl.operators.gather import take
from graphdl.operators.kernels.sorting import argsort
from graphdl.operators.primitive import Hyper, Lowering, Primitive
from graphdl.operators.structure import axis_of, reshape, transpose
from graphdl.operators.tensor import Tensor


def _infer_sort(types: Sequence[TensorType], attributes: Mapping[str, Any]) -> Sequence[TensorType]:
    axis_of(types, attributes)
    return (types[0],)


def _infer_argsort(types: Sequence[TensorType], attributes: Mapping[str, Any]) -> Sequence[TensorType]:
    return (TensorType(types[0].shape, "int", types[0].shape[axis_of(types, attributes)]),)


def _axis(node: Lowering) -> int:
    return axis_of(node.types, node.attributes) + (1 if node.batched[0] else 0)


def as_rows(x: Tensor, axis: int) -> Tensor:
    """The elements along ``axis`` as the rows of a matrix."""
    last = transpose(x, (*(a for a in range(x.rank) if a != axis), axis))
    return reshape(last, (prod(last.shape[:-1]), last.shape[-1]))


def from_rows(rows: Tensor, shape: Sequence[int], axis: int) -> Tensor:
    """The inverse of ``as_rows``: ``shape`` is that of the result, except that the length of ``axis`` is that of the
    rows.
    """
    others = [n for a, n in enumerate(shape) if a != axis]
    last = reshape(rows, (*others, rows.shape[1]))
    return transpose(last, (*range(axis), len(others), *range(axis, len(others))))


def places_in_order(rows: Tensor, *, descending: bool) -> Tensor:
    """For each row, the indices that sort its elements. Equal elements keep their order, and NaN is the greatest."""
    return argsort(cast(rows, "int") if rows.element == "bool" else rows, descending=descending)


def _lower_argsort(node: Lowering) -> Sequence[Tensor]:
    x, axis = node.inputs[0], _axis(node)
    order = places_in_order(as_rows(x, axis), descending=bool(node.attributes["descending"]))
    return (from_rows(order, x.shape, axis),)


def _lower_sort(node: Lowering) -> Sequence[Tensor]:
    x, axis = node.inputs[0], _axis(node)
    rows = as_rows(x, axis)
    order = places_in_order(rows, descending=bool(node.attributes["descending"]))
    return (from_rows(take(rows, order, known=True, own=True), x.shape, axis),)


_HYPERS = (Hyper("axis", "int", -1), Hyper("descending", "bool", False))

CATEGORY = "Sorting and prefix sums"

PRIMITIVES: tuple[Primitive, ...] = (
    Primitive(
        "sort", ("x",), _infer_sort, _lower_sort, _HYPERS, moves=True,
        documentation="The elements along a dimension in ascending or descending order; NaN is the greatest.",
    ),
    Primitive(
        "argsort", ("x",), _infer_argsort, _lower_argsort, _HYPERS, flat=True,
        documentation="The indices of the elements along a dimension in the order of `sort`; equal elements keep their "
        "order.",
    ),
)  # fmt: skip
