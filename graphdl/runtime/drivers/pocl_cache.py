"""PoCL's compiled kernels on disk, checked before PoCL reads them.

PoCL trusts its cache: a truncated kernel ends the process with SIGBUS, and one with other bytes ends it with an abort.
So a list of checksums is stored beside the cache. The first process that uses a cache deletes every program whose files
differ from the list. Each process adds its new files to the list when it ends. The files of a killed process are not in
the list. PoCL renames a file to its final name when it is complete, so such a file is accepted if its format is valid.
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
TOUCHED = "last_accessed"
"""PoCL's mark of a program's last use: an empty file that is rewritten at each use."""


@dataclass(frozen=True)
class KernelCache:
    """PoCL's folder ``kernels``, with a list of checksums and a lock beside it."""

    folder: Path
    limit: int = _LIMIT
    """Bytes of all programs. The least recently used programs are deleted above this limit."""

    @property
    def kernels(self) -> Path:
        """The value of POCL_CACHE_DIR."""
        return self.folder / "kernels"

    def open(self) -> None:
        """Opens the cache until the process ends. Damaged programs are deleted if no other process uses it.

        Raises:
            OSError: the folder cannot be written, or a damaged program cannot be deleted.
        """
        lock = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)  # held until the end
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:  # another process checked it when it started
            fcntl.flock(lock, fcntl.LOCK_SH)
            return
        self._make_folder()
        self._drop_damaged()
        self._evict()
        fcntl.flock(lock, fcntl.LOCK_SH)

    def close(self) -> None:
        """Adds new files to the list. If that fails, the list stays as it is."""
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
            return (self.kernels / program / TOUCHED).stat().st_mtime
        except OSError:
            return 0.0

    def _names(self) -> Iterator[str]:
        """The paths of all files in ``kernels``, relative to it; strings for speed, as there may be thousands."""

        def refuse(error: OSError) -> None:
            raise error

        start = len(str(self.kernels)) + 1
        for folder, _, names in os.walk(self.kernels, onerror=refuse):
            for name in names:
                if name != TOUCHED:
                    yield f"{folder}/{name}"[start:]

    def _checksum(self, name: str) -> int:
        with open(f"{self.kernels}/{name}", "rb", buffering=0) as file:
            return zlib.crc32(file.read())

    def _read_list(self) -> dict[str, int]:
        """The checksums by name; empty if the list is missing or damaged."""
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
    """The folder of the program, ``AB/CDEF…``, to which a file belongs."""
    return "/".join(name.split("/")[:2])


def _unfinished(name: str) -> bool:
    """Whether a file has a temporary name, because PoCL has not finished or will never finish it."""
    return "tempfile_" in name or name.endswith(".temp")


def _plausible(path: Path) -> bool:
    if path.suffix == ".so":
        return is_whole(path)
    if path.suffix == ".bc":
        with path.open("rb") as file:
            return file.read(len(_BITCODE)) == _BITCODE
    return True
