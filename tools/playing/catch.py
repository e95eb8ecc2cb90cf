"""A small game in pictures: a ball falls, and the player moves a bar at the bottom to catch it."""

from __future__ import annotations

import numpy as np

_CELLS = 12
_PIXELS = 84 // _CELLS


class Catch:
    """A game is one ball, which begins in the top row of 12 by 12 cells and falls by one cell a move.

    The actions are left, stay and right. The last reward is 1 if the bar of 3 cells catches the ball, else -1. A state
    is the last four frames: bytes [4, 84, 84].
    """

    def __init__(self) -> None:
        self._random = np.random.default_rng(0)
        self._ball = self._bar = self._row = self._drift = 0
        self._frames = np.zeros((4, 84, 84), np.uint8)

    def reset(self, *, seed: int | None = None) -> tuple[np.ndarray, dict[str, object]]:
        """Begins with a new ball, which falls straight or drifts to a side."""
        if seed is not None:
            self._random = np.random.default_rng(seed)
        self._row = 0
        self._ball, self._bar = self._random.integers(_CELLS), self._random.integers(1, _CELLS - 1)
        self._drift = self._random.integers(-1, 2)
        self._frames[:] = 0
        return self._seen(), {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, object]]:
        """Moves the bar, and lets the ball fall."""
        self._bar = int(np.clip(self._bar + action - 1, 1, _CELLS - 2))
        self._row += 1
        if not 0 <= self._ball + self._drift < _CELLS:
            self._drift = -self._drift
        self._ball += self._drift
        ended = self._row == _CELLS - 1
        reward = (1.0 if abs(self._ball - self._bar) <= 1 else -1.0) if ended else 0.0
        return self._seen(), reward, ended, False, {}

    def _seen(self) -> np.ndarray:
        cells = np.zeros((_CELLS, _CELLS), np.uint8)
        cells[-1, self._bar - 1 : self._bar + 2] = 128
        cells[self._row, self._ball] = 255
        self._frames[:-1] = self._frames[1:]
        self._frames[-1] = cells.repeat(_PIXELS, axis=0).repeat(_PIXELS, axis=1)
        return self._frames.copy()
