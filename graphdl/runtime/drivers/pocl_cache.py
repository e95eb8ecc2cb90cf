"""PoCL's compiled kernels on disk, checked before PoCL reads them.

PoCL trusts its cache: a kernel that was cut off ends the process with SIGBUS, and other bytes in its place with an
abort. So a list of checksums lies beside the cache. The first process to use a cache drops every program whose files
differ from the list, and the last to leave adds what is new. What a killed process left is not in the list; PoCL
renames a file to its place when it is complete, so such a file counts as good if its form is.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import shutil
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from graphdl.runtime.drivers.elf import is_whole

_log = logging.getLogger("graphdl")

_LIMIT = 128 << 20
_BITCODE = b"BC\xc0\xde"
_TOUCHED = "last_accessed"
"""PoCL's mark of a program's last use: empty, and written anew at each."""


@dataclass(frozen=True)
class KernelCache:
    """A folder of PoCL's, ``kernels``, with a list of checksums and a lock beside it."""

    folder: Path
    limit: int = _LIMIT
    """Bytes; the programs used longest ago go when there are more."""

    @property
    def kernels(self) -> Path:
        """What POCL_CACHE_DIR names."""
        return self.folder / "kernels"

    def open(self) -> None:
        """Takes the cache into use until the process ends, and drops what is damaged if no other process uses it.

        Raises:
            OSError: the folder cannot be written, or what is damaged cannot be removed.
        """
        lock = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)  # held until the end
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:  # another process checked it when it began
            fcntl.flock(lock, fcntl.LOCK_SH)
            return
        self._make_folder()
        self._drop_damaged()
        self._evict()
        fcntl.flock(lock, fcntl.LOCK_SH)

    def close(self) -> None:
        """Adds to the list what is new. A failure leaves the list as it is."""
        with contextlib.suppress(OSError):
            known = self._read_list()
            new = [name for name in self._names() if name not in known and not _unfinished(name)]
            if new:
                self._write_list(known | {name: self._checksum(name) for name in new})

    def _make_folder(self) -> None:
        if self.kernels.exists() and not self.kernels.is_dir():
            self.kernels.unlink()
        self.kernels.mkdir(exist_ok=True)

    def _drop_damaged(self) -> None:
        known = self._read_list()
        sound: dict[str, int] = {}
        damaged: set[str] = set()
        for name in list(self._names()):
            if _unfinished(name):
                (self.kernels / name).unlink()
                continue
            checksum = self._checksum(name)
            if (checksum == known[name]) if name in known else _plausible(self.kernels / name):
                sound[name] = checksum
            else:
                damaged.add(_program(name))
        damaged |= {_program(name) for name in known if name not in sound}
        dropped = [self.kernels / program for program in damaged if (self.kernels / program).exists()]
        for path in dropped:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        if dropped:
            _log.warning("%d damaged programs in the kernel cache %s were dropped", len(dropped), self.kernels)
        kept = {name: checksum for name, checksum in sound.items() if _program(name) not in damaged}
        if kept != known:
            self._write_list(kept)

    def _evict(self) -> None:
        sizes: dict[str, int] = {}
        for name in self._names():
            program = _program(name)
            sizes[program] = sizes.get(program, 0) + os.path.getsize(self.kernels / name)
        if sum(sizes.values()) <= self.limit:
            return
        total = 0
        for program in sorted(sizes, key=self._last_use, reverse=True):
            total += sizes[program]
            if total > self.limit:
                shutil.rmtree(self.kernels / program)

    def _last_use(self, program: str) -> float:
        try:
            return (self.kernels / program / _TOUCHED).stat().st_mtime
        except OSError:
            return 0.0

    def _names(self) -> Iterator[str]:
        """The files below ``kernels``, by their paths there; strings, as there may be thousands."""

        def refuse(error: OSError) -> None:
            raise error

        start = len(str(self.kernels)) + 1
        for folder, _, names in os.walk(self.kernels, onerror=refuse):
            for name in names:
                if name != _TOUCHED:
                    yield f"{folder}/{name}"[start:]

    def _checksum(self, name: str) -> int:
        with open(f"{self.kernels}/{name}", "rb", buffering=0) as file:
            return zlib.crc32(file.read())

    def _read_list(self) -> dict[str, int]:
        """Checksums by name; none where the list is missing or is itself damaged."""
        try:
            head, _, text = (self.folder / "list").read_text().partition("\n")
            if int(head) != zlib.crc32(text.encode()):
                return {}
            return {name: int(checksum) for name, checksum in (line.split("\t") for line in text.splitlines())}
        except (OSError, ValueError):
            return {}

    def _write_list(self, entries: dict[str, int]) -> None:
        text = "".join(f"{name}\t{checksum}\n" for name, checksum in sorted(entries.items()))
        temporary = self.folder / f"list.{os.getpid()}.part"
        temporary.write_text(f"{zlib.crc32(text.encode())}\n{text}")
        temporary.replace(self.folder / "list")


def _program(name: str) -> str:
    """The folder of a program, ``AB/CDEF…``, that a file belongs to."""
    return "/".join(name.split("/")[:2])


def _unfinished(name: str) -> bool:
    """Whether PoCL has not renamed a file to its place, or never will."""
    return "tempfile_" in name or name.endswith(".temp")


def _plausible(path: Path) -> bool:
    if path.suffix == ".so":
        return is_whole(path)
    if path.suffix == ".bc":
        with path.open("rb") as file:
            return file.read(len(_BITCODE)) == _BITCODE
    return True
