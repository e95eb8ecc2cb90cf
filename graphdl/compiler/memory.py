"""The memory plan: where in one arena each tensor lies while it is needed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

ALIGNMENT = 256
"""Bytes; a vector load must never straddle more lines than it needs to, and sub-arrays suit every device so."""


@dataclass(frozen=True, slots=True)
class Life:
    """``nbytes`` needed from launch ``first`` to launch ``last``, both included."""

    nbytes: int
    first: int
    last: int


def plan(lives: Sequence[Life]) -> tuple[list[int], int]:
    """An offset for each life, and the size of the arena; lives that overlap in time never overlap in place.

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
    """The most bytes, rounded up to the alignment, that are alive at one launch: no plan can do with less."""
    changes: dict[int, int] = {}
    for life in lives:
        nbytes = _rounded(life.nbytes)
        changes[life.first] = changes.get(life.first, 0) + nbytes
        changes[life.last + 1] = changes.get(life.last + 1, 0) - nbytes
    alive = most = 0
    for launch in sorted(changes):
        alive += changes[launch]
        most = max(most, alive)
    return most


def _rounded(nbytes: int) -> int:
    return -(-nbytes // ALIGNMENT) * ALIGNMENT


def _place(lives: Sequence[Life], sequence: Sequence[int]) -> tuple[list[int], int]:
    """Each life in turn goes to the lowest gap that is free for all of it."""
    import numpy as np

    offsets = [0] * len(lives)
    size = 0
    # What is placed, in the order of the offsets: where each begins and ends in the arena, its first and last launch.
    placed = np.empty((4, len(lives)), np.int64)
    for count, k in enumerate(sequence):
        life = lives[k]
        nbytes = _rounded(life.nbytes)
        begin, end, first, last = placed[:, :count]
        alive = (first <= life.last) & (last >= life.first)
        floors = np.maximum.accumulate(np.concatenate(([0], end[alive])))  # below them all is taken
        fits = np.append(floors[:-1] + nbytes <= begin[alive], True)
        offset = offsets[k] = int(floors[fits.argmax()])
        at = int(np.searchsorted(begin, offset))
        placed[:, at + 1 : count + 1] = placed[:, at:count]
        placed[:, at] = offset, offset + nbytes, life.first, life.last
        size = max(size, offset + nbytes)
    return offsets, size
