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

_LIMIT = 512 << 20
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
            new = [path for path in self._files() if self._name(path) not in known and not _unfinished(path)]
            if new:
                self._write_list(known | {self._name(path): _checksum(path) for path in new})

    def _make_folder(self) -> None:
        if self.kernels.exists() and not self.kernels.is_dir():
            self.kernels.unlink()
        self.kernels.mkdir(exist_ok=True)

    def _drop_damaged(self) -> None:
        known = self._read_list()
        sound: dict[str, int] = {}
        damaged: set[Path] = set()
        for path in list(self._files()):
            if _unfinished(path):
                path.unlink()
                continue
            name, checksum = self._name(path), _checksum(path)
            if (checksum == known[name]) if name in known else _plausible(path):
                sound[name] = checksum
            else:
                damaged.add(self._program(path))
        damaged |= {self._program(self.kernels / name) for name in known if not (self.kernels / name).exists()}
        damaged = {program for program in damaged if program.exists()}
        for program in damaged:
            shutil.rmtree(program) if program.is_dir() else program.unlink()
        if damaged:
            _log.warning("%d damaged programs in the kernel cache %s were dropped", len(damaged), self.kernels)
        kept = {name: checksum for name, checksum in sound.items() if (self.kernels / name).exists()}
        if kept != known:
            self._write_list(kept)

    def _evict(self) -> None:
        sizes: dict[Path, int] = {}
        for path in self._files():
            program = self._program(path)
            sizes[program] = sizes.get(program, 0) + path.stat().st_size
        total = 0
        for program in sorted(sizes, key=_last_use, reverse=True):
            total += sizes[program]
            if total > self.limit:
                shutil.rmtree(program)

    def _program(self, path: Path) -> Path:
        """The folder of a program, ``AB/CDEF…``, that a file belongs to."""
        return self.kernels.joinpath(*path.relative_to(self.kernels).parts[:2])

    def _files(self) -> Iterator[Path]:
        def refuse(error: OSError) -> None:
            raise error

        for folder, _, names in os.walk(self.kernels, onerror=refuse):
            for name in names:
                if name != _TOUCHED:
                    yield Path(folder, name)

    def _name(self, path: Path) -> str:
        return str(path.relative_to(self.kernels))

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


def _unfinished(path: Path) -> bool:
    """Whether PoCL has not renamed a file to its place, or never will."""
    return path.name.startswith("tempfile_") or path.suffix == ".temp"


def _checksum(path: Path) -> int:
    return zlib.crc32(path.read_bytes())


def _plausible(path: Path) -> bool:
    if path.suffix == ".so":
        return is_whole(path)
    if path.suffix == ".bc":
        with path.open("rb") as file:
            return file.read(len(_BITCODE)) == _BITCODE
    return True


def _last_use(program: Path) -> float:
    try:
        return (program / _TOUCHED).stat().st_mtime
    except OSError:
        return 0.0
