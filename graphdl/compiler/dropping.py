"""What a program needs if some of its tensors are dropped and computed again: the order of kernels, memory, and work.

A tensor is dropped for the longest time in which no kernel uses it. Before the first use after this time, its kernel
runs again. If an operand is not in memory then, the kernel that made the operand runs again before, and so on. Only an
operand that is much smaller than those of its own kernel stays in memory instead. A tensor that was computed again
stays in memory up to its last use, so every kernel runs at most twice.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from graphdl.compiler.grouping import GeneratedKernel
from graphdl.compiler.memory import rounded
from graphdl.compiler.placement import Pieces
from graphdl.compiler.program import Result
from graphdl.compiler.schedule import bytes_of
from graphdl.operators.tensor import Read, Tensor

_ELEMENT = 50
"""The work of moving an element to or from memory, in floating-point operations at full speed. On a CPU with two cores
60 were measured (545 GFLOP/s, 35 GB/s); a large GPU has about as many (60 TFLOP/s, 4.8 TB/s).
"""
_SMALL = 8
"""A tensor is not computed again if an operand of its kernel is so many times larger."""

Again = tuple[int, int]
"""A kernel, and the kernel that runs again before it, by number."""

Made = tuple[list[GeneratedKernel], Pieces]
"""Kernels in order, and the pieces of their assembled tensors."""


@dataclass(frozen=True, eq=False)
class Trial:
    """A program in which some blocks are dropped."""

    dropped: frozenset[int]
    again: tuple[Again, ...]
    """The kernels that run again, in order."""
    alive: np.ndarray
    """The bytes that are alive at each kernel in the order in which they run."""
    times: np.ndarray
    """The place in this order of the first run of every kernel."""
    work: float
    """The work of the kernels that run again."""

    @property
    def peak(self) -> int:
        return int(self.alive.max(initial=0))

    def excess(self, target: float) -> float:
        """The bytes beyond ``target``, summed over the kernels."""
        return float(np.maximum(self.alive - target, 0).sum())


@dataclass(slots=True)
class _Runs:
    """The kernels that run again, and the lives of blocks that follow from it."""

    again: list[Again] = field(default_factory=list)
    done: set[int] = field(default_factory=set)
    begins: dict[int, int] = field(default_factory=dict)
    """The time from which each block that is computed again is alive."""
    ends: dict[int, int] = field(default_factory=dict)
    """The time when a kernel that runs again is the last to use such a block."""
    longer: dict[int, int] = field(default_factory=dict)
    """This time for a block that is read after its last use."""


class Blocks:
    """The blocks of the arena that the kernels of a program, in their order, use. Kernels and blocks are numbered.

    A block holds one tensor, or an assembled tensor with its pieces. Variables, fetches and tensors of other kernels
    are in no block.
    """

    def __init__(self, kernels: Sequence[GeneratedKernel], results: Mapping[Result, Tensor], pieces: Pieces) -> None:
        self.kernels, self.pieces = kernels, pieces
        outside = set(results.values())
        self.makers: dict[Tensor, list[int]] = {}
        """The kernels that store each tensor. Those of an assembled tensor store its pieces."""
        for n, kernel in enumerate(kernels):
            for t in (*kernel.outputs, *kernel.own):
                whole = self._whole(t)
                if whole not in outside:
                    for stored in dict.fromkeys((t, whole)):
                        self.makers.setdefault(stored, []).append(n)
        self.wholes = wholes = [t for t in self.makers if t not in pieces]
        """The tensor of each block."""
        self.number = {t: b for b, t in enumerate(wholes)}
        self.nbytes = np.array([rounded(bytes_of(t)) for t in wholes], np.int64)
        self.writes = [self._written(kernel) for kernel in kernels]
        self.reads = [self._read(kernel) for kernel in kernels]
        """The tensors in blocks that each kernel reads, each with its block."""
        self.work = [_work(kernel) for kernel in kernels]
        self.until = _until(kernels, results)
        self.small = [self._is_small(t) for t in wholes]
        """Whether each block is too small to be computed again."""
        uses = [sorted(found) for found in self._uses()]
        self.first = np.array([found[0] for found in uses], np.int64)
        self.last = [found[-1] for found in uses]
        idle = [_longest_idle(found, self.makers[t][-1]) for found, t in zip(uses, wholes, strict=True)]
        self.rest = [before for before, _ in idle]
        """The last use of each block before the longest time in which no kernel uses it."""
        self.back = [after for _, after in idle]
        """The first use after this time."""
        self.returns = np.array(self.back, np.int64)
        self.needs = self._needs()
        self.early: dict[Tensor, int] = {}
        """The kernels before which tensors were computed again in some trial because of an overwritten variable."""
        self.shared = [list(self._shared(kernel)) for kernel in kernels]
        """For each kernel the pairs of an operand and an output that may share memory."""
        pairs = [(n, *pair) for n, found in enumerate(self.shared) for pair in found]
        self.sharing = np.array(pairs, np.int64).reshape(-1, 3).T
        """All of these: kernels, operands and outputs."""

    def _whole(self, tensor: Tensor) -> Tensor:
        return self.pieces[tensor][0] if tensor in self.pieces else tensor

    def _block(self, tensor: Tensor) -> int | None:
        return self.number.get(self._whole(tensor))

    def _written(self, kernel: GeneratedKernel) -> list[int]:
        found = dict.fromkeys(self._block(t) for t in (*kernel.outputs, *kernel.own))
        return [b for b in found if b is not None]

    def _read(self, kernel: GeneratedKernel) -> list[tuple[Tensor, int]]:
        own = {*kernel.outputs, *kernel.own}
        found = ((t, self._block(t)) for t in kernel.operands.tensors if t not in own)
        return [(t, b) for t, b in found if b is not None]

    def _is_small(self, tensor: Tensor) -> bool:
        largest = (max(map(bytes_of, self.kernels[n].operands.tensors), default=0) for n in self.makers[tensor])
        return all(bytes_of(tensor) * _SMALL <= nbytes for nbytes in largest)

    def _uses(self) -> list[set[int]]:
        found: list[set[int]] = [set() for _ in self.number]
        for n in range(len(self.kernels)):
            for b in (*self.writes[n], *(b for _, b in self.reads[n])):
                found[b].add(n)
        return found

    def _needs(self) -> list[list[tuple[int, Tensor]]]:
        """The tensors of each block that are read after the longest time without use, and the first to read each."""
        found: list[dict[Tensor, int]] = [{} for _ in self.number]
        for n, operands in enumerate(self.reads):
            for t, b in operands:
                if n >= self.back[b]:
                    found[b].setdefault(t, n)
        return [[(n, t) for t, n in each.items()] for each in found]

    def _shared(self, kernel: GeneratedKernel) -> Iterator[tuple[int, int]]:
        taken: set[Tensor] = set()
        for operand, output in kernel.in_place:
            if operand in self.number and output in self.number and taken.isdisjoint((operand, output)):
                taken.update((operand, output))
                yield self.number[operand], self.number[output]

    # ------------------------------------------------------------------------------------------------------- trials

    def candidates(self, nbytes: float) -> list[int]:
        """The blocks of at least so many bytes that can be dropped."""
        found = zip(self.nbytes, self.small, self.rest, self.back, strict=True)
        return [b for b, (n, small, rest, back) in enumerate(found) if n >= nbytes and not small and back > rest + 1]

    def gone(self, block: int, at: int, dropped: Collection[int]) -> bool:
        """Whether the first contents of a block are no longer in memory just before kernel ``at``."""
        if block in dropped:
            return at > self.rest[block]
        return at > self.last[block] and not self.small[block]

    def trial(self, dropped: Collection[int]) -> Trial | None:
        """The program with these blocks dropped; None if the first contents of one are needed for the second.

        That is so if a variable is overwritten that the kernel of the block reads.
        """
        while True:
            runs = _Runs()
            needs = [(min(n, self.early.get(t, n)), b, t) for b in sorted(dropped) for n, t in self.needs[b]]
            for at, b, tensor in sorted(needs, key=lambda need: need[0]):
                until = self._run_again(tensor, at, dropped, runs)
                if until <= self.rest[b]:
                    return None
                if until < at:
                    self.early[tensor] = until
                    break
            else:
                return self._lives(frozenset(dropped), runs)

    def _run_again(self, tensor: Tensor, at: int, dropped: Collection[int], runs: _Runs) -> int:
        """Runs the kernels again before kernel ``at`` that ``tensor`` needs.

        Returns ``at``; or the number of the kernel before which one of them has to run, because it overwrites a
        variable.
        """
        stack = self.makers[tensor][::-1]
        while stack:
            n = stack[-1]
            if n in runs.done:
                stack.pop()
                continue
            if self.until[n] < at:
                return self.until[n]
            gone = [(t, b) for t, b in self.reads[n] if self.gone(b, at, dropped)]
            if missing := [maker for t, _ in gone for maker in self.makers[t] if maker not in runs.done]:
                stack += missing[::-1]
                continue
            now = at + len(runs.again)
            runs.done.add(stack.pop())
            runs.again.append((at, n))
            for _, b in self.reads[n]:
                if at > self.last[b]:
                    runs.longer[b] = now
            runs.ends.update(dict.fromkeys((b for _, b in gone), now))
            runs.ends.update(dict.fromkeys(self.writes[n], now))
            for b in self.writes[n]:
                runs.begins.setdefault(b, now)
        return at

    def _lives(self, dropped: frozenset[int], runs: _Runs) -> Trial:
        """The trial with these kernels run again."""
        again, begins = runs.again, runs.begins
        count, blocks = len(self.kernels), len(self.nbytes)
        kernels = np.arange(count)
        times = kernels + np.searchsorted(np.array([at for at, _ in again], np.int64), kernels, "right")
        # The first and the second life of every block, in this order. Where there is no second one it has no bytes.
        begin = np.concatenate((times[self.first], np.zeros(blocks, np.int64)))
        end = np.concatenate((times[self.last], np.zeros(blocks, np.int64)))
        nbytes = np.concatenate((self.nbytes, np.zeros(blocks, np.int64)))
        for b in dropped:
            end[blocks + b], end[b] = end[b], times[self.rest[b]]
        for b, time in runs.longer.items():
            if b not in begins:
                end[b] = max(end[b], time)
        for b, time in begins.items():
            begin[blocks + b], end[blocks + b] = time, max(end[blocks + b], runs.ends[b])
            nbytes[blocks + b] = self.nbytes[b]
        total = count + len(again)
        change = np.bincount(begin, nbytes, total + 1) - np.bincount(end + 1, nbytes, total + 1)
        alive = np.cumsum(change)[:total]
        # An output that takes the memory of an operand needs none of its own yet.
        sharing, operands, outputs = self.sharing
        second = np.zeros(blocks, bool)
        second[list(dropped)] = True
        operands = np.where(second[operands] & (sharing >= self.returns[operands]), blocks + operands, operands)
        shares = (end[operands] == times[sharing]) & (begin[outputs] == times[sharing])
        np.subtract.at(alive, times[sharing][shares], self.nbytes[outputs[shares]])
        for time, (at, n) in enumerate(again):
            for x, y in self.shared[n]:
                if end[x + blocks * self.gone(x, at, dropped)] == at + time == begin[blocks + y]:
                    alive[at + time] -= self.nbytes[y]
        return Trial(dropped, tuple(again), alive, times, sum(self.work[n] for _, n in again))

    # ------------------------------------------------------------------------------------------------------ kernels

    def made(self, trial: Trial) -> Made:
        """The kernels of a trial, in order. Tensors that are computed again have twins, with memory of their own."""
        twins: dict[Tensor, Tensor] = {}

        def twin(t: Tensor) -> Tensor:
            if t not in twins:
                twins[t] = Tensor(t.operation, t.inputs, t.shape, t.element, t.origin, t.stored)
            return twins[t]

        runs: dict[int, list[int]] = {}
        for at, n in trial.again:
            runs.setdefault(at, []).append(n)
        kernels: list[GeneratedKernel] = []
        pieces = dict(self.pieces)
        for at, kernel in enumerate(self.kernels):
            for n in runs.get(at, ()):
                second = self.kernels[n]
                stored = [*second.outputs, *second.own]
                gone = [t for t, b in self.reads[n] if self.gone(b, at, trial.dropped)]
                kernels.append(second.moved({t: twin(t) for t in (*stored, *gone)}, again=True))
                pieces.update({twin(t): (twin(pieces[t][0]), pieces[t][1]) for t in stored if t in pieces})
            late = {t: twin(t) for t, b in self.reads[at] if b in trial.dropped and at >= self.back[b]}
            kernels.append(kernel.moved(late, again=False) if late else kernel)
        return kernels, pieces


def _work(kernel: GeneratedKernel) -> float:
    flops = sum(t.operation.flops(t) for t in kernel.plan.computed)
    return flops + _ELEMENT * sum(t.size for t in kernel.operands.tensors)


def _until(kernels: Sequence[GeneratedKernel], results: Mapping[Result, Tensor]) -> list[int]:
    """For each kernel the number of the kernel that is the first to overwrite a variable that it reads."""
    names = {t: name for (kind, name), t in results.items() if kind == "variable"}
    written = {names[t]: n for n, kernel in enumerate(kernels) for t in kernel.outputs if t in names}
    read = ([t.operation.key for t in k.operands.tensors if isinstance(t.operation, Read)] for k in kernels)
    return [min((written.get(key, len(kernels)) for key in keys), default=len(kernels)) for keys in read]


def _longest_idle(uses: Iterable[int], made: int) -> tuple[int, int]:
    """The neighbouring uses, from kernel ``made`` on, that are the farthest apart; twice ``made`` if there is one."""
    whole = [n for n in uses if n >= made]
    return max(pairwise(whole), key=lambda pair: pair[1] - pair[0], default=(made, made))
