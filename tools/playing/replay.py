"""The memory of deep Q-learning: what happened, from which batches are drawn."""

from __future__ import annotations

import numpy as np


class Replay:
    """The newest ``capacity`` moves: state, action, reward, the state that followed, and whether that was the end."""

    def __init__(self, capacity: int, state: np.ndarray) -> None:
        """``state`` is an example of a state, whose shape and type all have."""
        self._now = np.zeros((capacity, *state.shape), state.dtype)
        self._next = np.zeros_like(self._now)
        self._action = np.zeros(capacity, np.int32)
        self._reward = np.zeros(capacity, np.float32)
        self._end = np.zeros(capacity, np.float32)
        self._count = 0

    def __len__(self) -> int:
        return min(self._count, len(self._action))

    def add(self, now: np.ndarray, action: int, reward: float, following: np.ndarray, end: bool) -> None:
        """Keeps a move in the place of the oldest one."""
        place = self._count % len(self._action)
        self._now[place], self._next[place] = now, following
        self._action[place], self._reward[place], self._end[place] = action, reward, end
        self._count += 1

    def batch(self, size: int, random: np.random.Generator) -> dict[str, np.ndarray]:
        """Some moves at random, as the inputs of the nets; bytes become floats from 0 to 1."""
        rows = random.integers(len(self), size=size)
        return {
            "now": as_input(self._now[rows]), "action": self._action[rows], "reward": self._reward[rows],
            "next": as_input(self._next[rows]), "end": self._end[rows],
        }  # fmt: skip


def as_input(states: np.ndarray) -> np.ndarray:
    """States as floats; bytes are pixels and become 0 to 1."""
    return states.astype(np.float32) / 255 if states.dtype == np.uint8 else states.astype(np.float32)
