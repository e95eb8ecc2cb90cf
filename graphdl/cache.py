"""Compiled programs on disk. A cache that cannot be read or written costs time, but causes no error."""

from __future__ import annotations

import atexit
import hashlib
import logging
import os
import shutil
import sys
import tempfile
from functools import cache
from pathlib import Path

_log = logging.getLogger("graphdl")

_LIMIT = 512 << 20
_LEAST_SPACE = 32 << 20  # PoCL ends the process if it cannot write a kernel
_DIGEST_BYTES = hashlib.sha256().digest_size


class BinaryCache:
    """A folder of byte strings by key. Each file starts with the SHA-256 of its content, so that damage is noticed.

    The least recently used files are deleted when the folder exceeds ``limit`` bytes.
    """

    def __init__(self, folder: Path, limit: int = _LIMIT) -> None:
        self.folder = folder
        self.limit = limit

    def get(self, *key: str) -> bytes | None:
        """The bytes stored under the key; None if there are none or the file is damaged."""
        path = self._path(key)
        try:
            content = path.read_bytes()
            digest, binary = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
            if hashlib.sha256(binary).digest() != digest:
                path.unlink()
                return None
            os.utime(path)  # files are evicted by the time of their last use
        except OSError:
            return None
        return binary

    def put(self, binary: bytes, *key: str) -> None:
        """Stores a binary atomically: readers see all of it or nothing."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            descriptor, temporary = tempfile.mkstemp(dir=self.folder, suffix=".part")
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(hashlib.sha256(binary).digest() + binary)
                os.replace(temporary, self._path(key))
            except OSError:
                os.unlink(temporary)
                raise
            self._evict()
        except OSError:
            return

    def forget(self, *key: str) -> None:
        """Deletes a binary that the driver refused."""
        try:
            self._path(key).unlink(missing_ok=True)
        except OSError:
            return

    def _path(self, key: tuple[str, ...]) -> Path:
        return self.folder / hashlib.sha256("\0".join(key).encode()).hexdigest()

    def _evict(self) -> None:
        with os.scandir(self.folder) as entries:
            found = [(entry.stat(), entry.path) for entry in entries if entry.is_file()]
        total = 0
        for status, path in sorted(found, key=lambda file: file[0].st_mtime, reverse=True):
            total += status.st_size
            if total > self.limit:
                os.unlink(path)


def default_cache() -> BinaryCache:
    """The user's cache of compiled programs."""
    return BinaryCache(cache_folder() / "programs")


def cache_folder() -> Path:
    """The project's folder among the user's caches, or a temporary one if that folder cannot be used."""
    return usable_folder(_wanted_folder())


@cache
def usable_folder(folder: Path | None, executable: bool = False) -> Path:
    """Returns the folder, created if it is missing, or a temporary folder for this process if it cannot be used.

    ``executable`` requires that the system lets files in the folder run. A warning of one line says why a temporary
    folder is used.
    """
    try:
        if folder is None:
            raise OSError("this user has no home folder")
        _require_use(folder, executable)
    except OSError as error:
        temporary = Path(tempfile.mkdtemp(prefix="graphdl-"))
        atexit.register(shutil.rmtree, temporary, ignore_errors=True)
        _log.warning("the cache folder%s is of no use (%s); a temporary one takes its place", _named(folder), error)
        return temporary
    return folder


def _require_use(folder: Path, executable: bool) -> None:
    """Raises OSError with the reason unless files can be stored in the folder and it belongs to this user."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, prefix="trial-") as file:
            file.write(bytes(4096))
    except OSError as error:
        raise OSError(error.strerror) from error
    if sys.platform != "win32":
        if folder.stat().st_uid != os.geteuid():
            raise OSError("it belongs to another user")
        system = os.statvfs(folder)
        if system.f_bavail * system.f_frsize < _LEAST_SPACE:
            raise OSError("its file system is full")
        if executable and system.f_flag & getattr(os, "ST_NOEXEC", 0):
            raise OSError("its file system does not let files run")


def _named(folder: Path | None) -> str:
    return "" if folder is None else f" {folder}"


def _wanted_folder() -> Path | None:
    """The folder ``graphdl`` in ``$XDG_CACHE_HOME``, or in the system's place for caches; None if there is no home
    folder.

    A relative path is ignored: it would change with the current folder.
    """
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if base.is_absolute():
        return base / "graphdl"
    try:
        home = Path.home()
    except RuntimeError:  # a user without a home, as in some containers
        return None
    if not home.is_absolute():
        return None
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local") / "graphdl" / "Cache"
    if sys.platform == "darwin":
        return home / "Library" / "Caches" / "graphdl"
    return home / ".cache" / "graphdl"
