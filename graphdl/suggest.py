"""The nearest known name to a misspelt one."""

from __future__ import annotations

from collections.abc import Iterable


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that a typing slip turns into ``name``; none if nothing is near.

    Near is a third of the letters (of the longer name) at most, counted as by Damerau and Levenshtein (a swap of
    neighbours is one slip), or a name that was written on beyond its end.
    """
    best: tuple[int, str] | None = None
    for candidate in sorted(set(known)):
        allowed = max(1, max(len(name), len(candidate)) // 3)
        if len(candidate) >= 3 and name.startswith(candidate) and len(name) >= 4:
            best = best or (allowed, candidate)  # padding for pad
        if abs(len(candidate) - len(name)) > allowed or candidate == name:
            continue
        slips = _distance(name.lower(), candidate.lower())
        if slips <= min(allowed, len(candidate) - 1) and (best is None or slips < best[0]):
            best = slips, candidate
    return best[1] if best else None


def did_you_mean(name: str, known: Iterable[str], quote: str = "'") -> str | None:
    """The help line for a misspelt name."""
    candidate = nearest(name, known)
    return f"did you mean {quote}{candidate}{quote}?" if candidate else None


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
