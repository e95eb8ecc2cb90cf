"""Reductions over the dimensions of an example, and over the batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from graphdl.graph.types import Shape, TensorType
from graphdl.operators.elementwise import apply, cast, stop_gradient
from graphdl.operators.primitive import Hyper, Lowering, OperatorError, Primitive
from graphdl.operators.structure import BroadcastTo, broadcast_to, positions, reshape, slice_
from graphdl.operators.tensor import Operation, Tensor, constant


@dataclass(frozen=True)
class Reduction(Operation):
    """Combines the elements along ``axes``, which become dimensions of length 1.

    The kinds are ``sum``, ``product``, ``max``, ``min`` and ``argmax`` (the first greatest, in row-major order over
    ``axes``).
    """

    kind: str
    axes: tuple[int, ...]

    @property
    def name(self) -> str:
        return self.kind

    @property
    def in_parts(self) -> bool:
        """Whether the reduction of partial results equals the reduction of all elements."""
        return self.kind != "argmax"

    def simplified(self, y: Tensor, inputs: Sequence[Tensor]) -> Tensor | None:
        """A sum over broadcast dimensions becomes a multiplication."""
        (wide,) = inputs
        if self.kind != "sum" or not isinstance(wide.operation, BroadcastTo):
            return None
        (x,) = wide.inputs
        if x.shape != tuple(1 if a in self.axes else n for a, n in enumerate(wide.shape)):
            return None
        count = prod(wide.shape[a] for a in self.axes)
        return x * (float(count) if x.element == "float" else count)

    def flops(self, y: Tensor) -> int:
        return y.inputs[0].size

    def typed(self, y: Tensor) -> bool:
        """Bools are converted first: those in a vector are 0 and -1."""
        (x,) = y.inputs
        return x.element != "bool" and y.element == ("int" if self.kind == "argmax" else x.element)

    def reverse(self, y: Tensor, g: Tensor) -> Sequence[Tensor | None]:
        """The gradient of a sum is broadcast to all elements. The gradient of a maximum or minimum goes to its first
        occurrence.
        """
        (x,) = y.inputs
        if self.kind == "sum":
            return (broadcast_to(g, x.shape),)
        if self.kind == "argmax":
            return (None,)
        if self.kind == "product":
            return (g * _product_of_others(x, y, self.axes),)
        source = x if self.kind == "max" else -x
        winner = reshape(reduce("argmax", source, self.axes, keep=False), y.shape)
        return (apply("where", apply("equal", positions(x.shape, self.axes), winner), g, 0.0),)

    def batched(self, y: Tensor, inputs: Sequence[Tensor], count: int) -> Tensor:
        axes = tuple(a + 1 for a in self.axes)
        return Tensor(Reduction(self.kind, axes), (inputs[0],), (count, *y.shape), y.element)

    def batched_sum(self, y: Tensor, inputs: Sequence[Tensor], count: int) -> Tensor | None:
        if self.kind != "sum":
            return None
        return reshape(reduce("sum", inputs[0], (0, *(a + 1 for a in self.axes))), y.shape)


def _product_of_others(x: Tensor, y: Tensor, axes: Sequence[int]) -> Tensor:
    """For each element, the product ``y`` without it. ``y`` is divided by it, unless it is zero."""
    zero = apply("equal", x, 0.0)
    factors = apply("where", zero, 1.0, x)
    zeros = reduce("sum", cast(zero, "float"), axes)
    alone = apply("where", apply("equal", zeros, 1.0), reduce("product", factors, axes), 0.0)
    return apply("where", zero, alone, y / factors)


def reduce(kind: str, x: Tensor, axes: Sequence[int], *, keep: bool = True) -> Tensor:
    """Reduces ``x`` over ``axes``, which are not negative. Without ``keep`` the reduced dimensions are dropped."""
    dropped = set(axes)
    axes = tuple(sorted(a for a in dropped if kind == "argmax" or x.shape[a] != 1))
    if x.element == "bool":
        x = cast(x, "int" if kind == "argmax" else "float")
    shape = tuple(1 if a in axes else n for a, n in enumerate(x.shape))
    element = "int" if kind == "argmax" else x.element
    y = Tensor(Reduction(kind, axes), (x,), shape, element) if axes else x
    return y if keep else reshape(y, tuple(n for a, n in enumerate(x.shape) if a not in dropped))


def sum_to(g: Tensor, shape: Shape) -> Tensor:
    """The gradient of a broadcast: sums ``g`` over the dimensions that were repeated to ``shape``."""
    if g.shape == shape:
        return g
    lead = g.rank - len(shape)
    axes = [a for a in range(g.rank) if a < lead or (shape[a - lead] == 1 and g.shape[a] != 1)]
    return reshape(reduce("sum", g, axes), shape)


def axes_of(types: Sequence[TensorType], attributes: Mapping[str, Any]) -> tuple[int, ...]:
    """The hyperparameter ``axis`` (None, a number or a list) as sorted, non-negative dimensions of the example.

    Raises:
        OperatorError: a dimension is out of range or given twice.
    """
    rank = types[0].rank
    axis = attributes.get("axis")
    if axis is None:
        return tuple(range(rank))
    chosen = []
    for a in axis if isinstance(axis, list | tuple) else [axis]:
        if not -rank <= a < rank:
            raise OperatorError(
                "E0402", f"axis {a} is out of range: {types[0]} has {rank} dimension{'s' if rank != 1 else ''}",
                inputs=(0,), hyper="axis",
            )  # fmt: skip
        if a % rank in chosen:
            raise OperatorError("E0305", f"axis {a} is given twice", hyper="axis")
        chosen.append(a % rank)
    return tuple(sorted(chosen))


def reduced_shape(types: Sequence[TensorType], attributes: Mapping[str, Any]) -> tuple[int, ...]:
    """The shape of a reduction over ``axis``, which keeps the dimensions with ``keep``."""
    axes = axes_of(types, attributes)
    shape = types[0].shape
    if attributes.get("keep"):
        return tuple(1 if a in axes else n for a, n in enumerate(shape))
    return tuple(n for a, n in enumerate(shape) if a not in axes)


def _infer(types: Sequence[TensorType], attributes: Mapping[str, Any]) -> Sequence[TensorType]:
    element = types[0].element if types[0].element != "bool" else "float"
    return (TensorType(reduced_shape(types, attributes), element),)


def infer_float(types: Sequence[TensorType], attributes: Mapping[str, Any]) -> Sequence[TensorType]:
    """The shape rule of a reduction whose result is a float."""
    return (TensorType(reduced_shape(types, attributes), "float"),)


def _infer_argmax(types: Sequence[TensorType], attributes: Mapping[str, Any]) -> Sequence[TensorType]:
    length = prod(types[0].shape[a] for a in axes_of(types, attributes))
    return (TensorType(reduced_shape(types, attributes), "int", length),)


def reduced_axes(node: Lowering) -> tuple[int, ...]:
    """The dimensions that the hyperparameter ``axis`` names, in the lowered tensor with its batch."""
    shift = 1 if node.batched[0] else 0
    return tuple(a + shift for a in axes_of(node.types, node.attributes))


def shaped(node: Lowering, y: Tensor) -> Sequence[Tensor]:
    """The result of a reduction that kept its dimensions, in the shape that was inferred."""
    lead = y.shape[:1] if node.batched[0] else ()
    return (reshape(y, (*lead, *node.outputs[0].shape)),)


def _lower(kind: str, mean: bool = False) -> Any:
    def lower(node: Lowering) -> Sequence[Tensor]:
        x, axes = node.inputs[0], reduced_axes(node)
        y = reduce(kind, cast(x, "float") if mean else x, axes)
        if mean:
            y = y / prod(x.shape[a] for a in axes)
        return shaped(node, y)

    return lower


def _lower_argmin(node: Lowering) -> Sequence[Tensor]:
    """Of ints it is the place of the greatest -1 - x, which does not overflow."""
    x = cast(node.inputs[0], "int") if node.inputs[0].element == "bool" else node.inputs[0]
    return shaped(node, reduce("argmax", -x if x.element == "float" else -1 - x, reduced_axes(node)))


def _batch_axes(node: Lowering) -> tuple[int, ...]:
    return (0, *(a + 1 for a in axes_of(node.types, node.attributes)))


def _over_batch(node: Lowering) -> Tensor:
    x = cast(node.inputs[0], "float")
    if not node.batched[0]:
        x = reshape(x, (1, *x.shape))
    return x


def _first(x: Tensor, axes: Sequence[int]) -> Tensor:
    """The first element along ``axes``, which become dimensions of length 1. No gradient flows to it."""
    shape = tuple(1 if a in axes else n for a, n in enumerate(x.shape))
    return stop_gradient(slice_(x, (0,) * x.rank, (1,) * x.rank, shape))


def _mean(x: Tensor, axes: Sequence[int]) -> Tensor:
    """The mean, computed as the first element plus the mean difference from it.

    The mean of equal values is then exact, and values far from zero lose no accuracy to a large sum.
    """
    origin = _first(x, axes)
    return origin + reduce("sum", x - origin, axes) / prod(x.shape[a] for a in axes)


def _lower_batch_mean(node: Lowering) -> Sequence[Tensor]:
    return (reshape(_mean(_over_batch(node), _batch_axes(node)), node.outputs[0].shape),)


def _lower_batch_var(node: Lowering) -> Sequence[Tensor]:
    x, axes = _over_batch(node), _batch_axes(node)
    # the derivative of the variance with respect to the mean is zero, so no gradient is needed there
    centred = x - stop_gradient(_mean(x, axes))
    return (reshape(reduce("sum", centred * centred, axes) / prod(x.shape[a] for a in axes), node.outputs[0].shape),)


_HYPERS = (Hyper("axis", "ints", None), Hyper("keep", "bool", False))

CATEGORY = "Reductions"

PRIMITIVES: tuple[Primitive, ...] = (
    Primitive("sum", ("x",), _infer, _lower("sum"), _HYPERS, documentation="The sum over all dimensions, or `axis`."),
    Primitive("mean", ("x",), infer_float, _lower("sum", mean=True), _HYPERS, documentation="The arithmetic mean."),
    Primitive(
        "product", ("x",), _infer, _lower("product"), _HYPERS,
        documentation="The product over all dimensions, or `axis`.",
    ),
    Primitive("max", ("x",), _infer, _lower("max"), _HYPERS, documentation="The greatest element."),
    Primitive("min", ("x",), _infer, _lower("min"), _HYPERS, documentation="The least element."),
    Primitive(
        "argmax", ("x",), _infer_argmax, _lower("argmax"), (Hyper("axis", "ints", -1), Hyper("keep", "bool", False)),
        documentation="The position of the first greatest element.",
    ),
    Primitive(
        "argmin", ("x",), _infer_argmax, _lower_argmin, (Hyper("axis", "ints", -1), Hyper("keep", "bool", False)),
        flat=True, documentation="The position of the first least element.",
    ),
    Primitive(
        "batch_mean", ("x",), infer_float, _lower_batch_mean, _HYPERS, unbatched=True,
        documentation="The mean over the batch and over `axis` (all dimensions if left out; [] for none).",
    ),
    Primitive(
        "batch_var", ("x",), infer_float, _lower_batch_var, _HYPERS, unbatched=True,
        documentation="The biased variance over the batch and over `axis`.",
    ),
    Primitive(
        "batch_count", (), lambda types, attributes: (TensorType(()),),
        lambda node: (constant(float(node.batch)),), unbatched=True,
        documentation="The number of examples in the batch.",
    ),
)  # fmt: skip
