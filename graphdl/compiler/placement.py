"""The place of every tensor of a program: in the arena, in a named slot, or inside an assembled tensor."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from graphdl.compiler.assembly import Assembled
from graphdl.compiler.expression import Strides
from graphdl.compiler.fusion import KernelPlan, label_of
from graphdl.compiler.grouping import GeneratedKernel, Group, launch_count
from graphdl.compiler.memory import Life, plan
from graphdl.compiler.program import ArenaBlock, Binding, Result, Slot
from graphdl.compiler.repeating import Repeated
from graphdl.compiler.schedule import bytes_of
from graphdl.operators.tensor import Array, Feed, Read, Tensor

if TYPE_CHECKING:
    import numpy as np

Pieces = Mapping[Tensor, tuple[Tensor, int]]
"""For each piece of an assembled tensor, the whole and the element at which the piece begins."""


@dataclass(frozen=True)
class Placement:
    """The places of a program's tensors."""

    results: Mapping[Tensor, Result]
    pieces: Pieces
    blocks: Mapping[Tensor, ArenaBlock]
    arena_bytes: int

    @property
    def arena_blocks(self) -> tuple[ArenaBlock, ...]:
        """The blocks of the arena, each once."""
        return tuple(dict.fromkeys(self.blocks.values()))

    def binding(self, tensor: Tensor, start: int) -> Binding:
        """The argument that points to element ``start`` of a tensor."""
        operation, size = tensor.operation, tensor.stored.bytes
        if tensor in self.pieces:
            whole, offset = self.pieces[tensor]
            return self.binding(whole, start + offset)
        if tensor in self.results:
            kind, name = self.results[tensor]
            return Binding("fetch" if kind == "fetch" else "variable", name, start, (), size)
        if isinstance(operation, Read):
            return Binding("variable", operation.key, start, (), size)
        if isinstance(operation, Feed):
            return Binding("feed", operation.key, start, (), size)
        if isinstance(operation, Array):
            return Binding("constant", _constant_name(operation), start, (), size)
        return Binding("arena", "", self.blocks[tensor].offset // size + start, (), size)


def place(
    results: Mapping[Result, Tensor],
    pieces: Pieces,
    setup: Sequence[Group],
    groups: Sequence[Group],
) -> Placement:
    """Places every tensor that the launches of ``setup`` and then of ``groups`` read or write.

    Tensors that ``setup`` computes for ``groups`` keep their memory for good.
    """
    named = {tensor: result for result, tensor in results.items()}
    blocks, arena_bytes = _in_arena(setup, groups, named, pieces)
    return Placement(named, pieces, blocks, arena_bytes)


def pieces_of(plans: Sequence[KernelPlan], strides: Strides) -> Pieces:
    """The pieces of the assembled tensors that plans store with ``strides``."""
    found = {}
    for p in plans:
        for whole in p.outputs:
            if isinstance(whole.operation, Assembled):
                for piece, start, _ in whole.operation.regions(whole, strides[whole]):
                    found[piece] = whole, start
    return found


def _in_arena(
    setup: Sequence[Group], groups: Sequence[Group], named: Mapping[Tensor, Result], pieces: Pieces
) -> tuple[dict[Tensor, ArenaBlock], int]:
    """The block of every tensor in the arena, and the size of the arena in bytes."""
    kernels = [kernel for group in (*setup, *groups) for kernel in group]
    lives = _lives(kernels, pieces, sum(len(group) for group in setup))
    owner = {t: pieces[t][0] if t in pieces else t for t in lives if t not in named}
    owner = {t: whole for t, whole in owner.items() if whole not in named}
    lives = {t: lives[t] for t, whole in owner.items() if whole is t}
    _share(kernels, pieces, owner, lives)
    offsets, size = plan([Life(bytes_of(t), *life) for t, life in lives.items()]) if lives else ([], 0)
    launch = _launch_numbers([*setup, *groups])
    launch += launch[-1:]
    made = {
        t: ArenaBlock(offset, bytes_of(t), launch[begin][0], launch[end][1], label_of([t]), t.stored.precision)
        for (t, (begin, end)), offset in zip(lives.items(), offsets, strict=True)
    }
    return {t: made[owner[t]] for t in owner}, size


def _launch_numbers(groups: Sequence[Group]) -> list[tuple[int, int]]:
    """The numbers of the first and the last launch of every kernel. A loop has several launches."""
    found = []
    begin = 0
    for group in groups:
        count = launch_count(group[0])
        found += [(begin, begin + count - 1)] * len(group)
        begin += count
    return found


def _lives(kernels: Sequence[GeneratedKernel], pieces: Pieces, setup: int) -> dict[Tensor, tuple[int, int]]:
    """The numbers of the first kernel that writes each tensor and of the last one that needs it.

    A tensor that the ``setup`` kernels compute for the other kernels is also needed in later runs, so its life never
    ends.
    """
    first: dict[Tensor, int] = {}
    last: dict[Tensor, int] = {}
    for number, kernel in enumerate(kernels):
        first.update(dict.fromkeys((*kernel.outputs, *kernel.own), number))
        last.update(dict.fromkeys(kernel.operands.tensors, number))
    for piece, (whole, _) in pieces.items():
        first[whole] = min(first.get(whole, first[piece]), first[piece])
        last[whole] = max(last.get(whole, 0), last.get(piece, 0))
    lives = {t: (begin, last.get(t, begin)) for t, begin in first.items()}
    return {t: (begin, len(kernels) if begin < setup <= end else end) for t, (begin, end) in lives.items()}


def _share(
    kernels: Sequence[GeneratedKernel],
    pieces: Pieces,
    owner: dict[Tensor, Tensor],
    lives: dict[Tensor, tuple[int, int]],
) -> None:
    """Lets an output share the memory of an operand that its kernel is the last to read, at the
    index that it writes.
    """
    for number, kernel in enumerate(kernels):
        for operand, output in kernel.in_place:
            if operand not in owner or operand in pieces or owner.get(output) is not output:
                continue
            block = owner[operand]
            if lives[block][1] == number and block is not output:
                owner[output] = block
                lives[block] = (lives[block][0], lives.pop(output)[1])


def variable_slots(results: Mapping[Result, Tensor], plans: Sequence[KernelPlan]) -> dict[str, Slot]:
    """The variables that a program reads or writes, by name."""
    found = {x.operation.key: x for p in plans for x in p.inputs if isinstance(x.operation, Read)}
    return _slots(_named("variable", results) | found)


def feed_slots(plans: Sequence[KernelPlan]) -> dict[str, Slot]:
    """The feeds of a program, by name."""
    return _slots({x.operation.key: x for p in plans for x in p.inputs if isinstance(x.operation, Feed)})


def fetch_slots(results: Mapping[Result, Tensor]) -> dict[str, Slot]:
    """The fetches of a program, by name."""
    return _slots(_named("fetch", results))


def _named(kind: str, results: Mapping[Result, Tensor]) -> dict[str, Tensor]:
    return {name: tensor for (result_kind, name), tensor in results.items() if result_kind == kind}


def _slots(tensors: Mapping[str, Tensor]) -> dict[str, Slot]:
    return {name: Slot(name, tensors[name].shape, tensors[name].element) for name in sorted(tensors)}


def constant_values(plans: Sequence[KernelPlan]) -> dict[str, np.ndarray]:
    """The constant tensors that a program reads, by name."""
    import numpy as np

    found: dict[str, np.ndarray] = {}
    for p in plans:
        for root in p.roots:
            if isinstance(root.operation, Repeated):
                for linked in root.operation.programs:
                    found |= linked.program.constants
        for x in p.inputs:
            if isinstance(x.operation, Array):
                with np.errstate(over="ignore"):  # a number that is too large for single precision is infinite
                    values = np.array(x.operation.values, x.stored.numpy)
                found[_constant_name(x.operation)] = values.reshape(x.shape)
    return found


def _constant_name(operation: Array) -> str:
    return hashlib.sha256(repr(operation.values).encode()).hexdigest()[:16]
