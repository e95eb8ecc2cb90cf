"""The work that several processes share: a file says which parts of it were begun, and which are finished."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

_BEGUN, _FINISHED = b"\1", b"\2"
_BEHIND = 1 << 30
"""A place behind every part: a lock of a byte that the file does not have is valid."""


class Claims:
    """Numbered parts of some work, with a byte for each in a file that is empty at first.

    Locks of the file end with the process that holds them. A part that was begun by a process that has ended stays
    begun.
    """

    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CLOEXEC)

    def take(self, part: int) -> bool:
        """Begins a part. Returns false if a process has begun it before."""
        with self._locked(part):
            if os.pread(self._file, 1, part) in (_BEGUN, _FINISHED):
                return False
            os.pwrite(self._file, _BEGUN, part)
            return True

    def finish(self, part: int) -> None:
        """Says that a part is finished."""
        os.pwrite(self._file, _FINISHED, part)

    def finished(self, start: int, end: int) -> int:
        """The number of finished parts from ``start`` up to but not including ``end``."""
        return os.pread(self._file, end - start, start).count(_FINISHED)

    def alone(self, part: int) -> AbstractContextManager[None]:
        """Keeps other processes waiting before their own ``alone`` of this part."""
        return self._locked(_BEHIND + part)

    def close(self) -> None:
        """Closes the file."""
        os.close(self._file)

    @contextmanager
    def _locked(self, byte: int) -> Iterator[None]:
        fcntl.lockf(self._file, fcntl.LOCK_EX, 1, byte)
        try:
            yield
        finally:
            fcntl.lockf(self._file, fcntl.LOCK_UN, 1, byte)
