"""Labels from the frames of connectionist temporal classification (Graves et al., 2006)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BLANK = 0


@dataclass(frozen=True)
class Labels:
    """A sequence of labels, and the logarithm of its probability."""

    labels: tuple[int, ...]
    log_probability: float


def greedy(logs: NDArray[np.float64], blank: int = BLANK) -> Labels:
    """The labels of the likeliest way through the frames ``[frames, labels]``: repeats become one, blanks vanish.

    ``log_probability`` is that of the way.
    """
    way = logs.argmax(axis=1)
    is_new = np.append(True, way[1:] != way[:-1]) & (way != blank)
    return Labels(tuple(way[is_new].tolist()), float(logs.max(axis=1).sum()))


def prefix_beam(logs: NDArray[np.float64], beams: int, blank: int = BLANK) -> list[Labels]:
    """The likeliest sequences of labels, the best one first: at most ``beams``.

    The probability of labels is the sum over all ways that give them, as far as their prefixes were among the best
    ``beams`` at each frame (Hannun et al., 2014).
    """
    best: dict[tuple[int, ...], tuple[float, float]] = {(): (0.0, -np.inf)}
    """Of each prefix the ways that end with a blank, and those that end with its last label."""
    for frame in logs:
        found: dict[tuple[int, ...], list[float]] = {}
        for prefix, (with_blank, with_label) in best.items():
            either = np.logaddexp(with_blank, with_label)
            same = found.setdefault(prefix, [-np.inf, -np.inf])
            same[0] = np.logaddexp(same[0], either + frame[blank])
            if prefix:
                same[1] = np.logaddexp(same[1], with_label + frame[prefix[-1]])
            for label, log in enumerate(frame.tolist()):
                if label == blank:
                    continue
                before = with_blank if prefix and label == prefix[-1] else either
                if before == -np.inf:
                    continue
                longer = found.setdefault((*prefix, label), [-np.inf, -np.inf])
                longer[1] = np.logaddexp(longer[1], before + log)
        ranked = sorted(found.items(), key=lambda each: -float(np.logaddexp(each[1][0], each[1][1])))[:beams]
        best = {prefix: (ending[0], ending[1]) for prefix, ending in ranked}
    return [Labels(prefix, float(np.logaddexp(*ending))) for prefix, ending in best.items()]
