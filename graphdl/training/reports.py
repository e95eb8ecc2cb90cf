"""Results from the device that are read late, so that a step does not wait for them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from graphdl.runtime import Pending

MOST_PENDING = 8
"""The greatest number of results in a ``Queue`` whose ``ready`` results are taken after each one that is added."""

Item = TypeVar("Item")


class Report(NDArrayOperatorsMixin):
    """The loss of a step, usable as a number.

    It may not have arrived from the device yet; reading it waits. ``losses`` and ``metrics`` are the other numbers of
    the step, by name.
    """

    __slots__ = ("_losses", "_metrics", "_pending", "_scaled", "_values", "step")

    def __init__(
        self, step: int, pending: Pending, losses: Sequence[str], metrics: Sequence[str], scaled: bool = False
    ) -> None:
        self.step = step
        """The number of the step in the stage, from 0."""
        self._pending: Pending | None = pending
        self._values = np.empty(0, np.float32)
        self._losses = losses
        self._metrics = metrics
        self._scaled = scaled

    @property
    def values(self) -> np.ndarray:
        """The minimized total, then the losses, then the metrics."""
        return self._arrived[: 1 + len(self._losses) + len(self._metrics)]

    @property
    def scale(self) -> float:
        """The factor of the loss at the next step; 1 for a stage without loss scaling."""
        return float(self._arrived[-3]) if self._scaled else 1.0

    @property
    def skipped(self) -> int:
        """The number of steps of the stage that were skipped so far."""
        return int(self._arrived[-2]) if self._scaled else 0

    @property
    def is_skipped(self) -> bool:
        """Whether the step was skipped, because a gradient was not finite."""
        return self._scaled and not self._arrived[-1]

    @property
    def _arrived(self) -> np.ndarray:
        if self._pending is not None:
            self._values = self._pending.result()
            self._pending = None
        return self._values

    @property
    def losses(self) -> dict[str, float]:
        """All losses of the net, as means over the batch."""
        return dict(zip(self._losses, map(float, self.values[1:]), strict=False))

    @property
    def metrics(self) -> dict[str, float]:
        """All metrics of the net, as means over the batch."""
        return dict(zip(self._metrics, map(float, self.values[1 + len(self._losses) :]), strict=True))

    def __float__(self) -> float:
        return float(self.values[0])

    def __repr__(self) -> str:
        return repr(float(self))

    def __format__(self, specification: str) -> str:
        return format(float(self), specification)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self.values[0], dtype)

    def __array_ufunc__(self, function: np.ufunc, method: str, *inputs: Any, **keywords: Any) -> Any:
        numbers = [float(x) if isinstance(x, Report) else x for x in inputs]
        return getattr(function, method)(*numbers, **keywords)


class Queue(Generic[Item]):
    """Results that may not have arrived from the device yet, oldest first. ``ready`` bounds their number."""

    def __init__(self) -> None:
        self._waiting: deque[Item] = deque()

    def add(self, item: Item) -> None:
        self._waiting.append(item)

    def ready(self) -> Iterator[Item]:
        """Removes and yields the results that are old enough to have arrived."""
        while len(self._waiting) > MOST_PENDING:
            yield self._waiting.popleft()

    def drain(self) -> Iterator[Item]:
        """Removes and yields all results."""
        while self._waiting:
            yield self._waiting.popleft()
