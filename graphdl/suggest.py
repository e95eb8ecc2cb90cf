"""Suggestions for misspelt names: the nearest known name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import islice

_LONGEST = 80
"""The most characters of a name that are compared."""

_WORK = 3_000_000
"""The limit of the work for the suggestions of one file, in compared pairs of characters: about a second."""

_left: ContextVar[list[int] | None] = ContextVar("_left", default=None)
"""The remaining work, if it is limited."""


@contextmanager
def limited_suggestions() -> Iterator[None]:
    """Limits the work for suggestions in the block: of thousands of misspelt names in a file, only the first get
    suggestions.
    """
    token = _left.set([_WORK])
    try:
        yield
    finally:
        _left.reset(token)


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that is nearest to ``name``; None if none is near.

    A name is near if its Damerau–Levenshtein distance (a swap of neighbours is one edit) is at most a third of the
    longer name's length, or if ``name`` continues it (padding: pad).
    Of equally near names one of the same length is taken.
    """
    left = _left.get()
    if len(name) > _LONGEST or (left is not None and left[0] <= 0):
        return None
    candidates = sorted({*known} - {name})
    work = len(candidates)
    best: tuple[int, int, str] | None = None  # the edits and the letters too few or too many, before the name
    for candidate in candidates:
        allowed = max(1, max(len(name), len(candidate)) // 3)
        if len(candidate) >= 3 and name.startswith(candidate) and len(name) >= 4:
            best = best or (allowed, 0, candidate)  # padding for pad
        letters = abs(len(candidate) - len(name))
        if letters > allowed:
            continue
        work += len(name) * len(candidate)
        slips = _distance(name.lower(), candidate.lower())
        if slips <= min(allowed, len(candidate) - 1) and (best is None or (slips, letters) < best[:2]):
            best = slips, letters, candidate
    if left is not None:
        left[0] -= work
    return best[2] if best else None


def did_you_mean(name: str, known: Iterable[str], quote: str = "'") -> str | None:
    """The help line for a misspelt name."""
    candidate = nearest(name, known)
    return f"did you mean {quote}{candidate}{quote}?" if candidate else None


def enumerated(names: Iterable[str], most: int = 20) -> str:
    """``a, b, c``; only the beginning of a long list."""
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
