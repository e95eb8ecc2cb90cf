"""Concatenations without copies: the kernel that computes a piece stores it at its place in the whole.

Two kinds of concatenation are assembled: one that a hand-written kernel reads, and one of many pieces (the steps of a
scan). No kernel joins their pieces. The kernel of each piece stores it with the strides of the whole.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from graphdl.compiler.rewrite import Replaced, rewrite
from graphdl.compiler.strided import fixed_operands, memory_operands
from graphdl.graph.types import Shape
from graphdl.operators.kernels.family import Prepared, copy
from graphdl.operators.reduction import Reduction
from graphdl.operators.tensor import Elementwise, Template, Tensor, View, topological

Key = TypeVar("Key")

MANY = 8
"""Number of pieces above which a concatenation is assembled: a choice among more pieces for every element costs more
than the concatenation saves.
"""


@dataclass(frozen=True)
class Assembled(Template):
    """A concatenation along ``axis`` that is complete once the kernels of its pieces have run.

    ``slots`` are the shapes that the pieces fill. The inputs may lack dimensions of length 1 that the slots have.
    """

    takes_epilogue = False

    axis: int
    slots: tuple[Shape, ...]

    def flops(self, y: Tensor) -> int:
        return 0

    def regions(self, y: Tensor, strides: Sequence[int]) -> list[tuple[Tensor, int, tuple[int, ...]]]:
        """Each piece with its offset in the whole and its strides, both in elements."""
        found = []
        start = 0
        for piece, slot in zip(y.inputs, self.slots, strict=True):
            remaining = iter([s for s, n in zip(strides, slot, strict=True) if n != 1])
            found.append(
                (piece, start * strides[self.axis], tuple(next(remaining) if n != 1 else 0 for n in piece.shape))
            )
            start += slot[self.axis]
        return found


def assemble(results: Mapping[Key, Tensor]) -> dict[Key, Tensor]:
    """Returns the same results, with assembled concatenations where these save a copy."""
    order = topological(results.values())
    templates = [t for t in order if isinstance(t.operation, Template)]
    read_whole = {x for t in templates for x in memory_operands(t)}
    axes = {
        t: t.operation.joins
        for t in order
        if isinstance(t.operation, View) and (t in read_whole or len(t.inputs) > MANY)
    }
    if all(axis is None for axis in axes.values()):
        return dict(results)
    taken = set(results.values()) | fixed_operands(templates)

    def assembled(tensor: Tensor, inputs: tuple[Tensor, ...], replaced: Replaced) -> Tensor | None:
        axis = axes.get(tensor)
        return None if axis is None else _assembled(tensor, axis, taken, replaced)

    return rewrite(results, assembled)


def _assembled(tensor: Tensor, axis: int, taken: set[Tensor], replaced: Replaced) -> Tensor:
    pieces = []
    for x in tensor.inputs:
        bare = _bare(x)
        if bare in taken or not isinstance(bare.operation, Elementwise | Reduction | Prepared):
            pieces.append(copy(replaced[x]))
        else:
            taken.add(bare)
            pieces.append(replaced[bare])
    slots = tuple(x.shape for x in tensor.inputs)
    return Tensor(Assembled(axis, slots), tuple(pieces), tensor.shape, tensor.element, tensor.origin)


def _bare(x: Tensor) -> Tensor:
    """The tensor that ``x`` views with only dimensions of length 1 added or removed."""
    while isinstance(x.operation, View) and x.operation.keeps_order:
        inner = x.inputs[0]
        if [n for n in inner.shape if n != 1] != [n for n in x.shape if n != 1]:
            break
        x = inner
    return x
