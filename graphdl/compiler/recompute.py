"""Recomputation: kernels run again where their results are needed, so that less memory is needed in between.

A tensor of the forward pass is often read again only in the reverse pass. It can be dropped in between and computed
again: Chen et al., "Training deep nets with sublinear memory cost", 2016. The same kernel runs again, so the result is
the same bit for bit. ``dropping`` gives the memory and the work for a choice of tensors.

The choice is a greedy search. It drops the tensor that saves the most memory for the work that it adds, until the
program fits. If no further tensor saves any, one of the dropped tensors is kept again: other tensors can be computed
from it, so that fewer are alive at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from heapq import heapify, heappop, heappush

import numpy as np

from graphdl.compiler.dropping import Blocks, Made, Trial
from graphdl.compiler.grouping import GeneratedKernel
from graphdl.compiler.placement import Pieces
from graphdl.compiler.program import Result
from graphdl.operators.tensor import Tensor

_NEGLIGIBLE = 2000
"""A tensor so many times smaller than the peak is not worth dropping."""
_GAPS = 0.003
"""The usual part of the arena that is lost between blocks."""
_STEP = 0.8
"""The ratio of memory between two rounds of the search for the least."""
_FAILURES = 2
"""The rounds without success after which this search ends."""
_PROGRESS = 0.95
"""The search for a target ends when what is beyond it does not fall to this part."""
_CLOSE = 0.95
"""A tensor is dropped without a look at the others if it is worth this part of what the best of them may be."""

Arena = Callable[[Sequence[GeneratedKernel], Pieces], int]
"""The bytes of the arena for kernels in order and the pieces of their assembled tensors."""


def recompute(
    kernels: Sequence[GeneratedKernel], results: Mapping[Result, Tensor], pieces: Pieces, room: int, arena: Arena
) -> Made:
    """The kernels in an order in which some run again, so that the arena has at most ``room`` bytes.

    If no such order is found, the result is the one with the smallest arena. It does not depend on ``room``, and is
    found for every ``room`` that is as large.
    """
    blocks = Blocks(kernels, results, pieces)
    start = blocks.trial(())
    assert start is not None
    trial, target = start, room * (1 - _GAPS)
    while (trial := _found(blocks, (trial, start), target)).peak <= target:
        made = blocks.made(trial)
        size = arena(*made)
        if size <= room:
            return made
        target -= max(size - room, _GAPS * room)
    return _least(Blocks(kernels, results, pieces), room, arena)


def _least(blocks: Blocks, room: int, arena: Arena) -> Made:
    """The kernels in the order with the smallest arena, or the first one found with at most ``room`` bytes.

    Each round lowers the memory by a fifth. The search ends when several rounds have not made the arena smaller.
    """
    start = blocks.trial(())
    assert start is not None
    best = blocks.made(start)
    least = arena(*best)
    trial, target, failed = start, float(start.peak), 0
    while failed < _FAILURES and least > room:
        target *= _STEP
        trial = _found(blocks, (trial, start), target)
        made = blocks.made(trial)
        size = arena(*made)
        failed = 0 if size < least else failed + 1
        if size < least:
            best, least = made, size
    return best


def _found(blocks: Blocks, starts: Iterable[Trial], target: float) -> Trial:
    """The first trial of at most ``target`` bytes that is found from one of ``starts``; or the one with the lowest
    peak.
    """
    lowest: Trial | None = None
    for start in dict.fromkeys(starts):
        trial = _lowered(blocks, start, target)
        if trial.peak <= target:
            return trial
        if lowest is None or trial.peak < lowest.peak:
            lowest = trial
    assert lowest is not None
    return lowest


def _lowered(blocks: Blocks, trial: Trial, target: float) -> Trial:
    """A trial of at most ``target`` bytes, found from another one; or the one with the lowest peak."""
    lowest = trial
    while trial.peak > target:
        before = trial.excess(target)
        trial, lowest = _dropped(blocks, trial, lowest, target)
        if trial.peak > target:
            others = (blocks.trial(trial.dropped - {b}) for b in sorted(trial.dropped))
            trial = min((trial, *filter(None, others)), key=lambda each: each.excess(target))
            lowest = min(lowest, trial, key=lambda each: each.peak)
        if trial.excess(target) > _PROGRESS * before:
            return lowest
    for b in sorted(trial.dropped, key=lambda b: blocks.nbytes[b]):
        other = blocks.trial(trial.dropped - {b})
        if other is not None and other.peak <= target and other.work <= trial.work:
            trial = other
    return trial


def _dropped(blocks: Blocks, trial: Trial, lowest: Trial, target: float) -> tuple[Trial, Trial]:
    """Drops blocks as long as that lowers the memory beyond ``target``. Returns the last trial and the lowest one."""
    unit = 1e-5 * sum(blocks.work)

    def worth(other: Trial) -> float:
        return (trial.excess(target) - other.excess(target)) / max(other.work - trial.work, unit)

    above = np.concatenate(([0], np.cumsum(trial.alive > target)))
    done = {n for _, n in trial.again}
    queue = []
    """The blocks by falling worth. At first it is not known, and at most what is in the queue."""
    for b in blocks.candidates(trial.peak / _NEGLIGIBLE):
        if b not in trial.dropped:
            times = above[trial.times[blocks.back[b]]] - above[trial.times[blocks.rest[b]] + 1]
            work = sum(blocks.work[n] for n in blocks.makers[blocks.wholes[b]] if n not in done)
            queue.append((-float(blocks.nbytes[b] * times) / max(work, unit), b))
    heapify(queue)
    while queue and trial.peak > target:
        _, b = heappop(queue)
        other = blocks.trial(trial.dropped | {b})
        if other is None or (found := worth(other)) <= 0:
            continue
        if queue and found < -_CLOSE * queue[0][0]:
            heappush(queue, (-found, b))
            continue
        trial = other
        lowest = min(lowest, trial, key=lambda each: each.peak)
    return trial, lowest
