"""Ctrl-C in the middle of training: the step is finished and everything saved before it takes effect."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any

_SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


class Interrupted(KeyboardInterrupt):
    """A signal ends the process. ``number`` is the signal's."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


class Interrupts:
    """Inside a ``with`` block SIGINT, SIGTERM and SIGHUP raise ``Interrupted``; inside ``deferred`` a first one waits
    for ``check``, and a second one is raised at once.

    A signal that the process ignores (SIGHUP under ``nohup``) stays ignored. Signals reach the main thread alone:
    elsewhere this does nothing.
    """

    def __init__(self) -> None:
        self._requested: int | None = None
        self._deferring = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                before = self._before[number] = signal.getsignal(number)
                # What is ignored is said again: the compiler in a driver (LLVM) takes the signals for itself, and when
                # it hears one it puts all of them back to what they were before.
                signal.signal(number, signal.SIG_IGN if before is signal.SIG_IGN else self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)  # none: it was not set from Python

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Inside the block a signal waits: there is something to save before it may take effect."""
        self._deferring = True
        try:
            yield
        finally:
            self._deferring = False

    @property
    def requested(self) -> bool:
        """Whether a signal waits."""
        return self._requested is not None

    def check(self) -> None:
        """
        Raises:
            Interrupted: a signal has come.
        """
        if self._requested is not None:
            raise Interrupted(self._requested)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.requested or not self._deferring:
            raise Interrupted(number)
        self._requested = number
