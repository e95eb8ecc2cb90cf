"""Simplification: common subexpressions become one tensor, and what no result needs is dropped.

Plain rules of arithmetic (times one, constants of constants) hold as soon as a tensor is made: see
``graphdl.operators.elementwise``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from graphdl.compiler.rewrite import Replaced, rewrite, with_inputs
from graphdl.operators.reduction import Reduction, reduce
from graphdl.operators.structure import BroadcastTo, Pad, concat
from graphdl.operators.tensor import Elementwise, Tensor

Key = TypeVar("Key")


def simplify(results: Mapping[Key, Tensor]) -> dict[Key, Tensor]:
    """The same results from a graph in which equal tensors are one; only what they need is left."""
    known: dict[tuple[object, ...], Tensor] = {}

    def simplified(tensor: Tensor, inputs: tuple[Tensor, ...], replaced: Replaced) -> Tensor:
        made = _rewritten(tensor, inputs)
        key = (made.operation, made.inputs, made.shape, made.element)
        return known.setdefault(key, made)

    return rewrite(results, simplified)


def _rewritten(tensor: Tensor, inputs: tuple[Tensor, ...]) -> Tensor:
    operation = tensor.operation
    if isinstance(operation, Reduction) and operation.kind == "sum" and isinstance(inputs[0].operation, BroadcastTo):
        shorter = _sum_of_broadcast(inputs[0], operation.axes)
        if shorter is not None:
            shorter.origin = tensor.origin
            return shorter
    if isinstance(operation, Elementwise) and operation.key == "add":
        joined = _sum_of_pieces(inputs)
        if joined is not None:
            joined.origin = tensor.origin
            return joined
    return with_inputs(tensor, inputs)


def _sum_of_broadcast(wide: Tensor, axes: tuple[int, ...]) -> Tensor | None:
    """A sum over dimensions that were only repeated is a multiplication; None if there is more to it."""
    x = wide.inputs[0]
    if x.rank != wide.rank or any(x.shape[a] != 1 for a in axes):
        return None
    count = 1
    for a in axes:
        count *= wide.shape[a]
    rest = tuple(1 if a in axes else n for a, n in enumerate(wide.shape))
    if rest != x.shape:
        return None
    return reduce("sum", x * (float(count) if x.element == "float" else count), ())


def _sum_of_pieces(operands: tuple[Tensor, ...]) -> Tensor | None:
    """A sum of tensors laid into zeros side by side is their concatenation; None if they are not so.

    This is what the gradient of a sequence that was read element by element comes to.
    """
    pieces: list[tuple[int, Tensor]] = []
    along: set[int] = set()
    stack = list(operands)
    while stack:
        x = stack.pop()
        if isinstance(x.operation, Elementwise) and x.operation.key == "add":
            stack.extend(x.inputs)
            continue
        padding = x.operation
        if not isinstance(padding, Pad) or padding.otherwise != 0 or any(step != 1 for step in padding.steps):
            return None
        axes = [a for a, (n, whole) in enumerate(zip(x.inputs[0].shape, x.shape, strict=True)) if n != whole]
        along.update(axes)
        if len(axes) != 1 or len(along) != 1:
            return None
        pieces.append((padding.starts[axes[0]], x.inputs[0]))
    (axis,) = along
    pieces.sort(key=lambda piece: piece[0])
    end = 0
    for start, piece in pieces:
        if start != end:
            return None
        end += piece.shape[axis]
    return concat([piece for _, piece in pieces], axis) if end == operands[0].shape[axis] else None
