"""PoCL as installed by pip: its location, the check of its files, and the folder for its compiled kernels."""

from __future__ import annotations

import atexit
import logging
import os
import tempfile
from collections.abc import Callable
from functools import cache
from hashlib import sha256
from importlib import metadata
from pathlib import Path

from graphdl.cache import cache_folder, usable_folder
from graphdl.runtime.drivers.pocl_processor import processor_flags

PACKAGE = "pocl-binary-distribution"
_log = logging.getLogger("graphdl")


def find_library() -> Path | None:
    """The library according to the package's list of files; None if the package is not installed."""
    files = _files()
    return next((path for path in files if path.name.startswith("libpocl") and path.suffix == ".so"), None)


def damage() -> str | None:
    """The first missing or truncated file of the package, in words; None if there is none.

    PoCL ends the process if one of its files is missing.
    """
    for path, size in _files().items():
        try:
            found = path.stat().st_size
        except OSError as error:
            return f"{path.name}: {error.strerror}"
        if size is not None and found != size:
            return f"{path.name} has {found} bytes in place of {size}"
    return None


@cache
def open_cache() -> Path:
    """Checks the folder for compiled kernels, which is the value for POCL_CACHE_DIR, and returns it.

    It is in the user's POCL_CACHE_DIR or the project's cache folder. Every kind of processor has its own folder: PoCL
    distinguishes machines only by the processor's name, and all names unknown to LLVM are ``generic``.
    """
    from graphdl.runtime.drivers.pocl_cache import KernelCache  # it locks files in a way that Windows lacks

    chosen = os.environ.get("POCL_CACHE_DIR")
    base = Path(chosen, "graphdl").absolute() if chosen else cache_folder() / "pocl"
    processor = sha256(" ".join(sorted(processor_flags())).encode()).hexdigest()[:16]
    folder = usable_folder(base / processor, executable=True)
    kernels = KernelCache(folder)
    try:
        kernels.open()
    except OSError as error:
        _log.warning("the kernel cache %s is of no use (%s); a temporary one takes its place", folder, error)
        kernels = KernelCache(usable_folder(Path(tempfile.mkdtemp(prefix="graphdl-")), executable=True))
        kernels.open()
    _closing.append(kernels.close)
    atexit.register(kernels.close)
    return kernels.kernels


_closing: list[Callable[[], None]] = []


def leave_unlisted() -> None:
    """Leaves it to another process to list the files that this one adds to its cache.

    Two processes may compile the same kernel. The later file replaces the earlier one, and its checksum must be listed.
    """
    for close in _closing:
        atexit.unregister(close)


def _files() -> dict[Path, int | None]:
    """The package's own files and their sizes, as recorded by pip."""
    try:
        files = metadata.files(PACKAGE) or ()
    except metadata.PackageNotFoundError:
        return {}
    return {Path(os.path.abspath(str(file.locate()))): file.size for file in files if ".libs" in file.parts}
