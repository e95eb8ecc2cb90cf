"""Random numbers that are a function of their place of use, so that a resumed run draws the same ones.

Philox is a counter-based generator (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011): the number at
a position does not depend on those before it. NumPy guarantees the raw stream of a bit generator across versions, but
not the methods of ``Generator``. So only raw numbers are used here.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

ORDER_STREAM = 0
"""The stream that shuffles an epoch. The streams of the augmentations are numbered from 1."""
_STREAMS = 256
_WORD = 2**64


def raw(seed: int, epoch: int, stream: int, first: int, count: int) -> NDArray[np.uint64]:
    """Four 64-bit numbers for each of the positions ``first`` to ``first + count - 1``: ``[count, 4]``."""
    key = np.array([seed % _WORD, (epoch * _STREAMS + stream) % _WORD], dtype=np.uint64)
    numbers: NDArray[np.uint64] = np.random.Philox(key=key, counter=first).random_raw(4 * count)
    return numbers.reshape(count, 4)


def uniform(seed: int, epoch: int, stream: int, first: int, count: int) -> NDArray[np.float64]:
    """Four numbers in [0, 1) for each position: ``[count, 4]``."""
    return (raw(seed, epoch, stream, first, count) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def permutation(seed: int, epoch: int, count: int) -> NDArray[np.intp]:
    """The order of an epoch: a permutation of the integers less than ``count``."""
    keys = raw(seed, epoch, ORDER_STREAM, 0, -(-count // 4)).ravel()[:count]
    return np.argsort(keys, kind="stable")
