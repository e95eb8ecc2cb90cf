"""Computes items ahead of time in background threads, and returns them in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Generic, TypeVar

Key = TypeVar("Key")
Item = TypeVar("Item")


class Prefetch(Generic[Key, Item], Iterator[Item]):
    """Yields ``produce(key)`` for each key, in order, computed up to ``depth`` items ahead.

    ``produce`` runs in ``workers`` threads and must be thread-safe. An exception that it raises is raised to the
    consumer in place of the item, and ends the iteration. ``keys`` is read by the consumer's thread and may be endless.
    Use a ``with`` block, or call ``close``: then no further item is started, and none is waited for.

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
        self._ahead: deque[Future[Item]] = deque()
        self._closed = False
        self._fill()

    def __next__(self) -> Item:
        if self._closed or not self._ahead:
            self.close()
            raise StopIteration
        try:
            item = self._ahead.popleft().result()
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
            self._ahead.append(self._pool.submit(self._produce, key))
