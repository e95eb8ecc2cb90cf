"""A run folder belongs to one process at a time: a lock in the folder ends with the process that holds it."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from graphdl.diagnostics import Diagnostic, ModelError

LOCK = ".lock"
_WITHOUT_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP)
_PLACE = 1 << 30
"""The byte that Windows locks. It is beyond the text, so that other processes can read the text."""


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Reserves a folder for this process during the block. It is created if it is missing, and removed if it is empty
    at the end.

    The operating system releases the lock when the process ends, in whatever way. On a file system without locks,
    nothing is locked.

    Raises:
        ModelError: E0618, another process holds the folder.
        OSError: the folder cannot be written.
    """
    descriptor = _opened(folder)
    try:
        yield
    finally:
        if sys.platform == "win32":  # Windows cannot remove an open file
            os.close(descriptor)
        with suppress(OSError):
            (folder / LOCK).unlink()
            folder.rmdir()  # fails unless the folder is empty
        if sys.platform != "win32":
            os.close(descriptor)


def fresh(folder: Path) -> Path:
    """Creates a folder with this name, numbered if the name is taken, and returns it.

    Raises:
        OSError: it cannot be created.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    candidate, number = folder, 1
    while True:
        try:
            candidate.mkdir()
        except FileExistsError:
            number += 1
            candidate = folder.with_name(f"{folder.name}_{number}")
        else:
            return candidate


def _opened(folder: Path) -> int:
    """The descriptor of the folder's lock file, locked."""
    path = folder / LOCK
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        except FileNotFoundError:
            continue  # the process that held the folder has removed it
        try:
            if not _lock(descriptor):
                raise _held(folder, os.read(descriptor, 20))
            # Between the two calls, the file may have been removed and created again by another process.
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(descriptor), path.stat()):
                    os.truncate(descriptor, 0)
                    os.write(descriptor, str(os.getpid()).encode())
                    return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _held(folder: Path, content: bytes) -> ModelError:
    process = f"process {int(content)}" if content.isdigit() else "another process"
    return ModelError(
        Diagnostic("E0618", f"{folder} is in use: {process} trains there", help="wait for it, or end it first")
    )


if sys.platform != "win32":
    import fcntl

    def _lock(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno not in _WITHOUT_LOCKS:
                raise
        return True

else:
    import msvcrt

    def _lock(descriptor: int) -> bool:
        os.lseek(descriptor, _PLACE, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        finally:
            os.lseek(descriptor, 0, os.SEEK_SET)
        return True
