"""The nearest known name to a misspelt one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import islice

_LONGEST = 80
"""Letters of a name that is compared at most."""

_WORK = 3_000_000
"""What the suggestions for one file may cost, in pairs of letters that are compared: about a second."""

_left: ContextVar[list[int] | None] = ContextVar("_left", default=None)
"""What is left of the work, where it is limited."""


@contextmanager
def limited_suggestions() -> Iterator[None]:
    """Inside, suggestions end after some work: of thousands of misspelt names in a file the first ones get help."""
    token = _left.set([_WORK])
    try:
        yield
    finally:
        _left.reset(token)


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that a typing slip turns into ``name``; None if nothing is near.

    Near is a third of the letters (of the longer name) at most, counted as by Damerau and Levenshtein (a swap of
    neighbours is one slip), or a name that was written on beyond its end.
    """
    left = _left.get()
    if len(name) > _LONGEST or (left is not None and left[0] <= 0):
        return None
    candidates = sorted(set(known))
    work = len(candidates)
    best: tuple[int, str] | None = None
    for candidate in candidates:
        allowed = max(1, max(len(name), len(candidate)) // 3)
        if len(candidate) >= 3 and name.startswith(candidate) and len(name) >= 4:
            best = best or (allowed, candidate)  # padding for pad
        if abs(len(candidate) - len(name)) > allowed or candidate == name:
            continue
        work += len(name) * len(candidate)
        slips = _distance(name.lower(), candidate.lower())
        if slips <= min(allowed, len(candidate) - 1) and (best is None or slips < best[0]):
            best = slips, candidate
    if left is not None:
        left[0] -= work
    return best[1] if best else None


def did_you_mean(name: str, known: Iterable[str], quote: str = "'") -> str | None:
    """The help line for a misspelt name."""
    candidate = nearest(name, known)
    return f"did you mean {quote}{candidate}{quote}?" if candidate else None


def enumerated(names: Iterable[str], most: int = 20) -> str:
    """``a, b, c``; of a long list its beginning."""
    shown = list(islice(names, most + 1))
    return ", ".join([*shown[:most], "…"] if len(shown) > most else shown)


def _distance(a: str, b: str) -> int:
    before: list[int] = []
    row = list(range(len(b) + 1))
    for i, x in enumerate(a):
        earlier, before, row = before, row, [i + 1]
        for j, y in enumerate(b):
            cost = min(before[j + 1] + 1, row[j] + 1, before[j] + (x != y))
            if i and j and x == b[j - 1] and a[i - 1] == y:
                cost = min(cost, earlier[j - 1] + 1)
            row.append(cost)
    return row[-1]
