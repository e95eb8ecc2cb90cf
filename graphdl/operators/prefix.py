"""Prefix sums: at each position along a dimension, the sum of the elements up to it or before it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

from graphdl.graph.types import TensorType
from graphdl.operators.elementwise import cast
from graphdl.operators.kernels.prefix_sum import prefix_sum, turned
from graphdl.operators.primitive import Hyper, Lowering, Primitive
from graphdl.operators.structure import axis_of, reshape
from graphdl.operators.tensor import Tensor


def _infer(types: Sequence[TensorType], attributes: Mapping[str, Any]) -> Sequence[TensorType]:
    axis_of(types, attributes)
    return (TensorType(types[0].shape, "int" if types[0].element == "int" else "float"),)


def _lower(node: Lowering) -> Sequence[Tensor]:
    x = node.inputs[0]
    axis = axis_of(node.types, node.attributes) + (1 if node.batched[0] else 0)
    if x.element == "bool":
        x = cast(x, "float")
    grouped = reshape(x, (prod(x.shape[:axis]), x.shape[axis], prod(x.shape[axis + 1 :])))
    backwards = bool(node.attributes["reverse"])
    sums = prefix_sum(turned(grouped) if backwards else grouped, exclusive=bool(node.attributes["exclusive"]))
    return (reshape(turned(sums) if backwards else sums, x.shape),)


CATEGORY = "Sorting and prefix sums"

PRIMITIVES: tuple[Primitive, ...] = (
    Primitive(
        "cumsum", ("x",), _infer, _lower,
        (Hyper("axis", "int", -1), Hyper("exclusive", "bool", False), Hyper("reverse", "bool", False)),
        documentation="At each position along a dimension, the sum of all elements up to it; with `exclusive = true`, "
        "of the elements before it. `reverse = true` sums from the end.",
    ),
)  # fmt: skip
