"""The memory plan: the offset of each tensor in one arena during its life."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

ALIGNMENT = 256
"""Alignment of offsets, in bytes: a vector load touches no more cache lines than it needs, and every device accepts the
offsets.
"""


@dataclass(frozen=True, slots=True)
class Life:
    """``nbytes`` bytes that are needed from launch ``first`` to launch ``last``, both included."""

    nbytes: int
    first: int
    last: int


def plan(lives: Sequence[Life]) -> tuple[list[int], int]:
    """The offset of each life, and the size of the arena, in bytes. Lives that overlap in time do not overlap in
    memory.

    Several greedy orders are tried, and the smallest arena wins.
    """
    best: tuple[list[int], int] | None = None
    orders: list[Callable[[int], tuple[int, ...]]] = [
        lambda k: (-lives[k].nbytes, lives[k].first),
        lambda k: (-(lives[k].last - lives[k].first), -lives[k].nbytes),
        lambda k: (-(lives[k].last - lives[k].first + 1) * lives[k].nbytes, lives[k].first),
        lambda k: (lives[k].first, -lives[k].nbytes),
        lambda k: (-lives[k].last, -lives[k].nbytes),
    ]
    for key in orders:
        offsets, size = _place(lives, sorted(range(len(lives)), key=key))
        if best is None or size < best[1]:
            best = offsets, size
        if size <= most_alive(lives):
            break
    assert best is not None
    return best


def most_alive(lives: Sequence[Life]) -> int:
    """The largest number of bytes, each life rounded up to the alignment, alive at one launch: a lower bound for every
    plan.
    """
    changes: dict[int, int] = {}
    for life in lives:
        nbytes = rounded(life.nbytes)
        changes[life.first] = changes.get(life.first, 0) + nbytes
        changes[life.last + 1] = changes.get(life.last + 1, 0) - nbytes
    alive = most = 0
    for launch in sorted(changes):
        alive += changes[launch]
        most = max(most, alive)
    return most


def rounded(nbytes: int) -> int:
    """The bytes that a tensor takes in the arena."""
    return -(-nbytes // ALIGNMENT) * ALIGNMENT


def _place(lives: Sequence[Life], sequence: Sequence[int]) -> tuple[list[int], int]:
    """Places each life in turn in the lowest gap that is free during all of it."""
    import numpy as np

    offsets = [0] * len(lives)
    size = 0
    # The lives placed so far, sorted by offset: begin and end in the arena, first and last launch.
    placed = np.empty((4, len(lives)), np.int64)
    for count, k in enumerate(sequence):
        life = lives[k]
        nbytes = rounded(life.nbytes)
        begin, end, first, last = placed[:, :count]
        alive = (first <= life.last) & (last >= life.first)
        floors = np.maximum.accumulate(np.concatenate(([0], end[alive])))  # all bytes below are taken
        fits = np.append(floors[:-1] + nbytes <= begin[alive], True)
        offset = offsets[k] = int(floors[fits.argmax()])
        at = int(np.searchsorted(begin, offset))
        placed[:, at + 1 : count + 1] = placed[:, at:count]
        placed[:, at] = offset, offset + nbytes, life.first, life.last
        size = max(size, offset + nbytes)
    return offsets, size
