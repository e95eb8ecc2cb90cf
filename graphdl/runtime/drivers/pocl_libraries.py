"""PoCL's compiled kernels, kept in memory.

PoCL stores each kernel as a shared library and keeps the 128 that were used last loaded (``MAX_CACHE_ITEMS`` in its
``devices/common.c``). If the launches of a run use more kernels in turn, each launch unloads a library and loads
another one, which takes about 100 µs. A library that the process has loaded once more stays in memory. PoCL's own
loading then only searches the list of loaded libraries, which takes about 10 µs.
"""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Collection, Iterable, Iterator

from graphdl.runtime.drivers.pocl import open_cache

_begin = time.time()
_kept: dict[str, list[ctypes.CDLL]] = {}
"""The libraries of each kernel, one for each local size."""


def keep_loaded(names: Collection[str]) -> None:
    """Keeps the libraries of these kernels in memory until the process ends. The kernels must have run before."""
    wanted = {name for name in names if name not in _kept}
    if not wanted:
        return
    for program in filter(_is_in_use, _folders(_folders([str(open_cache())]))):
        for name in wanted.intersection(os.listdir(program)):
            libraries = (f"{size}/{name}.so" for size in _folders([f"{program}/{name}"]))
            _kept.setdefault(name, []).extend(ctypes.CDLL(path) for path in libraries if os.path.exists(path))


def _folders(parents: Iterable[str]) -> Iterator[str]:
    """The folders inside all ``parents``. The paths are equal to PoCL's: the loader compares strings."""
    for parent in parents:
        with os.scandir(parent) as entries:
            yield from (entry.path for entry in entries if entry.is_dir())


def _is_in_use(program: str) -> bool:
    """Whether a program was built since this process began. Others may contain the same kernels."""
    from graphdl.runtime.drivers.pocl_cache import TOUCHED  # it locks files in a way that Windows lacks

    try:
        return os.stat(f"{program}/{TOUCHED}").st_mtime >= _begin
    except OSError:
        return False
