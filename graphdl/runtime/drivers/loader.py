"""Makes all installed drivers known to the OpenCL loader before its first search, once in a process.

PyOpenCL's loader reads the ``.icd`` files of one folder, and those beside itself, at the first ``clGetPlatformIDs``.
During that call OCL_ICD_VENDORS names a folder with copies of the system's files and files for the drivers that pip
installed elsewhere. A user's own OCL_ICD_VENDORS is complete by definition and stays unchanged.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pyopencl as cl

from graphdl.cache import cache_folder
from graphdl.runtime.drivers import intel, pocl
from graphdl.runtime.drivers.elf import is_whole
from graphdl.runtime.drivers.linker import install_linker

_SYSTEM_FOLDER = Path("/etc/OpenCL/vendors")
_POCL_ORIGIN = f"the package {pocl.PACKAGE}"


@dataclass(frozen=True)
class Runtime:
    """A driver that was found."""

    library: str
    """The path of its library, or the bare name by which the system finds it."""
    origin: str
    """Where it was found: a package, or an ``.icd`` file."""
    listed: bool
    """Whether the loader finds it by itself."""
    problem: str | None = None
    """Why it is not loaded, and what to do about it."""


@cache
def runtimes() -> tuple[Runtime, ...]:
    """All drivers, without loading any: the system's or the user's choice, followed by those that pip installed."""
    if not sys.platform.startswith("linux"):
        return ()
    return (*_listed_runtimes(), *_pocl_runtime(), *_intel_runtime())


@cache
def platforms() -> tuple[cl.Platform, ...]:
    """All platforms of all drivers; empty if there is no driver.

    Their devices are listed as well: a driver reads its settings when its devices are first listed.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(_environment(_settings(runtimes(), stack)))
        try:
            found = cl.get_platforms()
        except cl.Error:  # the loader found no platform at all
            return ()
        for platform in found:
            with contextlib.suppress(cl.Error):
                platform.get_devices()
    return tuple(found)


def load_failure(runtime: Runtime) -> str | None:
    """Why a driver's library cannot be loaded, or None.

    The attempt runs in a separate process, because the library may end the process.
    """
    code = "import ctypes, sys\ntry: ctypes.CDLL(sys.argv[1])\nexcept OSError as error: sys.exit(str(error))"
    done = subprocess.run([sys.executable, "-c", code, runtime.library], capture_output=True, text=True, check=False)
    if done.returncode < 0:
        return f"it ends the process that loads it ({signal.Signals(-done.returncode).name})"
    return done.stderr.strip() or None


def _user_choice() -> str | None:
    return next(filter(None, map(os.environ.get, ("OCL_ICD_VENDORS", "OPENCL_VENDOR_PATH"))), None)


def _listed_runtimes() -> Iterator[Runtime]:
    chosen = _user_choice()
    folder = Path(chosen or _SYSTEM_FOLDER)
    if chosen and not folder.is_dir():
        yield Runtime(chosen, "OCL_ICD_VENDORS", listed=True)
        return
    for file in sorted(folder.glob("*.icd")):
        with contextlib.suppress(OSError):
            yield Runtime(file.read_text(errors="replace").strip(), str(file), listed=True)


def _pocl_runtime() -> Iterator[Runtime]:
    library = pocl.find_library()
    if library is None:
        return
    beside_loader = library.parent == Path(cl.__file__).parent / ".libs"
    if beside_loader or not _user_choice():
        damage = pocl.damage()
        problem = f"{damage}; repair it: {_repair(pocl.PACKAGE)}" if damage else None
        yield Runtime(str(library), _POCL_ORIGIN, beside_loader, problem)


def _intel_runtime() -> Iterator[Runtime]:
    library = intel.find_library()
    if _user_choice() or (library is None and not intel.is_installed()):
        return
    origin = f"the package {intel.PACKAGE}"
    if library is None:
        missing = "its files are missing: pip's --target leaves them out; install it into a virtual environment"
        yield Runtime(intel.LIBRARY, origin, False, missing)
    elif all(Path(runtime.library).name != library.name for runtime in _listed_runtimes()):
        path, problem = _intel_path(library)
        yield Runtime(str(path), origin, False, problem)


def _intel_path(library: Path) -> tuple[Path, str | None]:
    """A path by which Intel's library can be loaded, or its path and the reason why it cannot."""
    try:
        if not is_whole(library):
            return library, f"the library is cut off; repair it: {_repair(intel.PACKAGE)}"
        return intel.without_spaces(library, cache_folder()), None
    except OSError as error:
        return library, f"it insists on a path without spaces, and links fail ({error}); install it elsewhere"


def _repair(package: str) -> str:
    return f"pip install --force-reinstall --no-deps {package}"


def _settings(found: Sequence[Runtime], stack: contextlib.ExitStack) -> Mapping[str, str]:
    """The environment variables for the first search for platforms. The folder that they name lasts as long as
    ``stack``.
    """
    settings: dict[str, str] = {}
    added = [runtime for runtime in found if not runtime.listed and runtime.problem is None]
    broken = [runtime for runtime in found if runtime.listed and runtime.problem is not None]
    if added or broken:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="vendors-", dir=cache_folder()))
        if added:
            _write_vendors(Path(folder), [*_listed_runtimes(), *added])
            settings["OCL_ICD_VENDORS"] = folder
        if broken:
            settings["PYOPENCL_HOME"] = folder  # the loader looks there for the PoCL of PyOpenCL's wheel
    if any("pocl" in runtime.library and runtime.problem is None for runtime in found):
        settings["POCL_CACHE_DIR"] = str(pocl.open_cache())
    if any(runtime.origin == _POCL_ORIGIN and runtime.problem is None for runtime in found):
        install_linker()
    for name, value in intel.SETTINGS.items():  # these stay set: the runtime reads them at every step
        os.environ.setdefault(name, value)
    return settings


def _write_vendors(folder: Path, found: Sequence[Runtime]) -> None:
    for number, runtime in enumerate(found):
        (folder / f"{number:02}.icd").write_text(f"{runtime.library}\n")


@contextlib.contextmanager
def _environment(settings: Mapping[str, str]) -> Iterator[None]:
    """Sets environment variables temporarily."""
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
