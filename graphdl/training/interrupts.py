"""Ctrl-C during training: the current step is finished and everything is saved before it takes effect."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any

_SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


class Interrupted(KeyboardInterrupt):
    """A signal that ends the process. ``number`` is that of the signal."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


class Interrupts:
    """In a ``with`` block, SIGINT, SIGTERM and SIGHUP raise ``Interrupted``.

    Inside ``deferred``, the first signal waits for ``check``, and a second one raises at once. A signal that the
    process ignores (SIGHUP under ``nohup``) stays ignored. Only the main thread receives signals: in other threads this
    does nothing.
    """

    def __init__(self) -> None:
        self._requested: int | None = None
        self._deferring = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                before = self._before[number] = signal.getsignal(number)
                # An ignored signal is set again: the compiler in a driver (LLVM) installs its own handlers, and when it
                # receives a signal it restores all previous ones.
                signal.signal(number, signal.SIG_IGN if before is signal.SIG_IGN else self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)  # None: it was not set from Python

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Defers a first signal during the block: there is something to save before it takes effect."""
        self._deferring = True
        try:
            yield
        finally:
            self._deferring = False

    @property
    def requested(self) -> bool:
        """Whether a signal is pending."""
        return self._requested is not None

    def check(self) -> None:
        """Raises Interrupted if a signal is pending."""
        if self._requested is not None:
            raise Interrupted(self._requested)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.requested or not self._deferring:
            raise Interrupted(number)
        self._requested = number
