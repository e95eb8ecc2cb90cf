"""PoCL: where pip put it, whether it is whole, and the folder for its compiled kernels."""

from __future__ import annotations

import atexit
import logging
import os
import tempfile
from hashlib import sha256
from importlib import metadata
from pathlib import Path

from graphdl.runtime.cache import cache_folder, usable_folder
from graphdl.runtime.drivers.pocl_processor import processor_flags

PACKAGE = "pocl-binary-distribution"
_log = logging.getLogger("graphdl")


def find_library() -> Path | None:
    """The library that the package brought, or is supposed to have brought; None where it is not installed."""
    files = _files()
    return next((path for path in files if path.name.startswith("libpocl") and path.suffix == ".so"), None)


def damage() -> str | None:
    """What is wrong with the package's files, or None. PoCL ends the process where a part of it is missing."""
    for path, size in _files().items():
        try:
            found = path.stat().st_size
        except OSError as error:
            return f"{path.name}: {error.strerror}"
        if size is not None and found != size:
            return f"{path.name} has {found} bytes in place of {size}"
    return None


def open_cache() -> Path:
    """The folder for compiled kernels, checked; what POCL_CACHE_DIR shall name.

    It lies under the user's POCL_CACHE_DIR, else in the project's cache folder, and is one for each kind of processor:
    PoCL tells machines apart by the processor's name only, and a name that LLVM does not know is ``generic`` on all.
    """
    from graphdl.runtime.drivers.pocl_cache import KernelCache  # it locks files in a way that Windows lacks

    chosen = os.environ.get("POCL_CACHE_DIR")
    base = Path(chosen, "graphdl").absolute() if chosen else cache_folder() / "pocl"
    processor = sha256(" ".join(sorted(processor_flags())).encode()).hexdigest()[:16]
    folder = usable_folder(base / processor, executable=True)
    cache = KernelCache(folder)
    try:
        cache.open()
    except OSError as error:
        _log.warning("the kernel cache %s is of no use (%s); a temporary one takes its place", folder, error)
        cache = KernelCache(usable_folder(Path(tempfile.mkdtemp(prefix="graphdl-")), executable=True))
        cache.open()
    atexit.register(cache.close)
    return cache.kernels


def _files() -> dict[Path, int | None]:
    """The package's own files and their sizes, as pip wrote them down."""
    try:
        files = metadata.files(PACKAGE) or ()
    except metadata.PackageNotFoundError:
        return {}
    return {Path(os.path.abspath(str(file.locate()))): file.size for file in files if ".libs" in file.parts}
