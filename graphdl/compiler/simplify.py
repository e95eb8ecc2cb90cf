"""Simplification: common subexpressions become one tensor, and tensors that no result needs are dropped.

Rules of arithmetic (times one, constants of constants) are applied when a tensor is made: see
``graphdl.operators.elementwise``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from graphdl.compiler.rewrite import Replaced, rewrite, with_inputs
from graphdl.operators.structure import concat
from graphdl.operators.tensor import Elementwise, Tensor, View

Key = TypeVar("Key")


def simplify(results: Mapping[Key, Tensor]) -> dict[Key, Tensor]:
    """Returns the same results from a graph in which equal tensors are one and every tensor is needed."""
    known: dict[tuple[object, ...], Tensor] = {}

    def simplified(tensor: Tensor, inputs: tuple[Tensor, ...], replaced: Replaced) -> Tensor | None:
        made = _rewritten(tensor, inputs)
        key = (made.operation, made.inputs, made.shape, made.element)
        return known.setdefault(key, made)

    return rewrite(results, simplified)


def _rewritten(tensor: Tensor, inputs: tuple[Tensor, ...]) -> Tensor:
    operation = tensor.operation
    shorter = operation.simplified(tensor, inputs)
    if shorter is None and isinstance(operation, Elementwise) and operation.sums:
        shorter = _sum_of_pieces(inputs)
    if shorter is None:
        return with_inputs(tensor, inputs)
    shorter.origin = tensor.origin
    return shorter


def _sum_of_pieces(operands: tuple[Tensor, ...]) -> Tensor | None:
    """The concatenation that equals a sum of tensors padded with zeros side by side; None if the operands are not of
    this form.

    The gradient of a sequence that was read element by element is such a sum.
    """
    pieces: list[tuple[int, Tensor]] = []
    along: set[int] = set()
    stack = list(operands)
    while stack:
        x = stack.pop()
        if isinstance(x.operation, Elementwise) and x.operation.sums:
            stack.extend(x.inputs)
            continue
        stretch = x.operation.stretch(x) if isinstance(x.operation, View) else None
        if stretch is None:
            return None
        axis, start = stretch
        along.add(axis)
        if len(along) != 1:
            return None
        pieces.append((start, x.inputs[0]))
    pieces.sort(key=lambda piece: piece[0])
    end = 0
    for start, piece in pieces:
        if start != end:
            return None
        end += piece.shape[axis]
    return concat([piece for _, piece in pieces], axis) if end == operands[0].shape[axis] else None
