"""Reductions of bools: whether any, or all, of the elements are true."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from graphdl.graph.types import TensorType
from graphdl.operators.elementwise import cast
from graphdl.operators.primitive import Hyper, Lowering, Primitive
from graphdl.operators.reduction import reduce, reduced_axes, reduced_shape, shaped
from graphdl.operators.tensor import Tensor


def _infer(types: Sequence[TensorType], attributes: Mapping[str, Any]) -> Sequence[TensorType]:
    return (TensorType(reduced_shape(types, attributes), "bool"),)


def _lower(kind: str) -> Callable[[Lowering], Sequence[Tensor]]:
    def lower(node: Lowering) -> Sequence[Tensor]:
        """The greatest or least of zeros and ones; numbers count as true where they are not 0."""
        ones = cast(cast(node.inputs[0], "bool"), "int")
        return shaped(node, cast(reduce(kind, ones, reduced_axes(node)), "bool"))

    return lower


_HYPERS = (Hyper("axis", "ints", None), Hyper("keep", "bool", False))

CATEGORY = "Reductions"

PRIMITIVES: tuple[Primitive, ...] = (
    Primitive(
        "any", ("x",), _infer, _lower("max"), _HYPERS, flat=True,
        documentation="Whether any element is true; numbers other than 0 are, NaN as well.",
    ),
    Primitive(
        "all", ("x",), _infer, _lower("min"), _HYPERS, flat=True,
        documentation="Whether all elements are true.",
    ),
)  # fmt: skip
