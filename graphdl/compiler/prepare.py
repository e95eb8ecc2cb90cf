"""Prepares a graph for code generation.

Hand-written kernels get the operands and the form that their families choose. Long reductions to few results are split
into two steps.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TypeVar

from graphdl.compiler.program import Target
from graphdl.compiler.rewrite import Replaced, rewrite, with_inputs
from graphdl.operators.kernels.family import Choose, Lasts, Planner, nothing_lasts, predicted
from graphdl.operators.reduction import Reduction, reduce
from graphdl.operators.structure import reshape
from graphdl.operators.tensor import Constant, Template, Tensor, View, feed

Key = TypeVar("Key")


def prepare(
    results: Mapping[Key, Tensor], target: Target, choose: Choose = predicted, repeated: Lasts = nothing_lasts
) -> dict[Key, Tensor]:
    """Returns the same results, with every hand-written kernel in the form that ``choose`` selects for its problem."""

    def planner(tensor: Tensor) -> Planner:
        return Planner(target, choose, repeated, alone(tensor))

    def prepared(tensor: Tensor, inputs: tuple[Tensor, ...], replaced: Replaced) -> Tensor | None:
        match tensor.operation:
            case Template():
                return tensor.operation.family.prepare(tensor, inputs, planner(tensor))
            case View():
                return _viewed(tensor, replaced, planner)
            case Reduction():
                return _reduction(tensor, tensor.operation, inputs[0], target)
            case _:
                return None

    return rewrite(results, prepared)


def alone(tensor: Tensor) -> Tensor:
    """The tensor of a template, or of a view of one, computed from feeds.

    A feed replaces each tensor that a kernel reads or views. Views of operands are kept, because a kernel may read
    through them.
    """
    feeds: dict[Tensor, Tensor] = {}

    def operand(x: Tensor) -> Tensor:
        if isinstance(x.operation, View) and len(x.inputs) == 1:
            return with_inputs(x, (operand(x.inputs[0]),))
        if isinstance(x.operation, Constant):
            return x
        if x not in feeds:
            feeds[x] = feed(f"operand {len(feeds)}", x.shape, x.element)
        return feeds[x]

    if isinstance(tensor.operation, Template):
        return with_inputs(tensor, tuple(map(operand, tensor.inputs)))
    return with_inputs(tensor, tuple(map(alone, tensor.inputs)))


def _viewed(tensor: Tensor, replaced: Replaced, planner: Callable[[Tensor], Planner]) -> Tensor | None:
    """The view of a template's result, computed by the template's own kernel; None if that kernel cannot compute it."""
    if len(tensor.inputs) != 1 or not isinstance(tensor.inputs[0].operation, Template):
        return None
    whole = tensor.inputs[0]
    inputs = tuple(replaced[x] for x in whole.inputs)
    return tensor.inputs[0].operation.family.prepare_viewed(tensor, inputs, planner(tensor))


def _reduction(tensor: Tensor, operation: Reduction, x: Tensor, target: Target) -> Tensor | None:
    """Splits a long reduction to few results into two steps: partial results, then their reduction,
    in a fixed order. None for other reductions.
    """
    shares, long = target.shares, target.tuning.long_reduction
    vectors = tensor.size / (target.vector_width if target.kind == "cpu" else 1)
    if not operation.in_parts or vectors >= shares or x.size // max(1, tensor.size) < 64 or x.size < long:
        return None
    first, *others = operation.axes
    if others:
        partial = reduce(operation.kind, x, others)
        return reduce(operation.kind, partial, (first,))
    length = x.shape[first]
    parts = next((p for p in range(math.isqrt(length), 1, -1) if length % p == 0), 1)
    if parts < min(shares, 4):
        return None
    wide = reshape(x, (*x.shape[:first], parts, length // parts, *x.shape[first + 1 :]))
    partial = reduce(operation.kind, wide, (first + 1,))
    return reshape(reduce(operation.kind, partial, (first,)), tensor.shape)
