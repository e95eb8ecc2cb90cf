"""Computes items ahead of time in background threads, and returns them in order.

A thread costs more than it saves for items that take microseconds: to hand one over, the interpreter changes threads
twice. Such items are computed by the consumer.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import TracebackType
from typing import Generic, TypeVar

Key = TypeVar("Key")
Item = TypeVar("Item")


class Prefetch(Generic[Key, Item], Iterator[Item]):
    """Yields ``produce(key)`` for each key, in order, computed up to ``depth`` items ahead.

    ``produce`` runs in ``workers`` threads and must be thread-safe. An exception that it raises is raised to the
    consumer in place of the item, and ends the iteration. ``keys`` is read by the consumer's thread and may be endless.
    Use a ``with`` block, or call ``close``: then no further item is started, and none is waited for. While items take
    less than ``_QUICK`` seconds, the next ones are computed when the consumer asks for them.

    ``Prefetch(lambda key: batches.get(*key), ((epoch, index) for ...))`` continues across epochs.
    """

    def __init__(
        self, produce: Callable[[Key], Item], keys: Iterable[Key], *, workers: int = 1, depth: int = 3
    ) -> None:
        if workers < 1 or depth < 1:
            raise ValueError(f"workers ({workers}) and depth ({depth}) must be positive")
        self._produce = produce
        self._keys = iter(keys)
        self._depth = depth
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="graphdl-prefetch")
        self._ahead: deque[Callable[[], Item]] = deque()
        self._seconds = _QUICK
        """How long the last item took."""
        self._closed = False
        self._fill()

    def __next__(self) -> Item:
        if self._closed or not self._ahead:
            self.close()
            raise StopIteration
        try:
            item = self._ahead.popleft()()
            self._fill()
        except BaseException:
            self.close()
            raise
        return item

    def close(self) -> None:
        """Ends the iteration. An item that is being computed is finished in the background and dropped."""
        self._closed = True
        self._ahead.clear()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def __enter__(self) -> Prefetch[Key, Item]:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _fill(self) -> None:
        while len(self._ahead) < self._depth:
            try:
                key = next(self._keys)
            except StopIteration:
                return
            make = partial(self._timed, key)
            self._ahead.append(make if self._seconds < _QUICK else self._pool.submit(make).result)

    def _timed(self, key: Key) -> Item:
        begin = time.perf_counter()
        item = self._produce(key)
        self._seconds = time.perf_counter() - begin
        return item


_QUICK = 2e-4
