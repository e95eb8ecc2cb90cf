"""The logarithm of a sum of exponentials, without overflow."""

from __future__ import annotations

import math
from collections.abc import Sequence

from graphdl.operators.elementwise import apply, cast, stop_gradient
from graphdl.operators.primitive import Hyper, Lowering, Primitive
from graphdl.operators.reduction import infer_float, reduce, reduced_axes, shaped
from graphdl.operators.tensor import Tensor


def _lower(node: Lowering) -> Sequence[Tensor]:
    """``log Σ exp(x - m) + m``, m the greatest element. Of elements that are all -∞ it is -∞, with a gradient of 0."""
    x, axes = cast(node.inputs[0], "float"), reduced_axes(node)
    greatest = stop_gradient(reduce("max", x, axes))
    origin = apply("where", apply("equal", apply("abs", greatest), math.inf), 0.0, greatest)
    total = reduce("sum", apply("exp", x - origin), axes)
    empty = apply("equal", total, 0.0)
    y = apply("where", empty, -math.inf, apply("log", apply("where", empty, 1.0, total)) + origin)
    return shaped(node, y)


CATEGORY = "Reductions"

PRIMITIVES: tuple[Primitive, ...] = (
    Primitive(
        "logsumexp", ("x",), infer_float, _lower, (Hyper("axis", "ints", None), Hyper("keep", "bool", False)),
        documentation="log Σ exp(x) over all dimensions, or `axis`, without overflow.",
    ),
)  # fmt: skip
