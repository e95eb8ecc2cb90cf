"""Intel's OpenCL runtime for CPUs, as pip installs it: where it is, and what keeps strangers' settings out of it."""

from __future__ import annotations

import os
import shutil
import site
import sys
import tempfile
from hashlib import sha256
from importlib import metadata
from pathlib import Path

PACKAGE = "intel-opencl-rt"
LIBRARY = "libintelocl.so"

# The runtime reads cl.cfg from the current folder before its own, at each step anew; a variable goes before both.
# Empty means "not set", except where a word or a number has to stand; those are the runtime's own defaults.
SETTINGS = {
    "CL_CONFIG_CHANNEL_DEPTH_EMULATION_MODE": "",
    "CL_CONFIG_CPU_EXPENSIVE_MEM_OPT": "0",
    "CL_CONFIG_CPU_FORCE_GLOBAL_MEM_SIZE": "",
    "CL_CONFIG_CPU_FORCE_LOCAL_MEM_SIZE": "",
    "CL_CONFIG_CPU_FORCE_MAX_MEM_ALLOC_SIZE": "",
    "CL_CONFIG_CPU_FORCE_MAX_WORK_GROUP_SIZE": "8192",
    "CL_CONFIG_CPU_FORCE_WORK_GROUP_SIZE": "",
    "CL_CONFIG_CPU_O0_VECTORIZATION": "",
    "CL_CONFIG_CPU_REQD_SUB_GROUP_SIZE": "",
    "CL_CONFIG_CPU_RT_LOOP_UNROLL_FACTOR": "1",
    "CL_CONFIG_CPU_STREAMING_ALWAYS": "False",
    "CL_CONFIG_CPU_SUB_GROUP_CONSTRUCTION": "0",
    "CL_CONFIG_CPU_TARGET_ARCH": "auto",
    "CL_CONFIG_CPU_TBB_NUM_WORKERS": "65536",  # clamped to the number of processors
    "CL_CONFIG_CPU_VECTORIZER_MODE": "0",
    "CL_CONFIG_DUMP_ASM": "False",
    "CL_CONFIG_DUMP_BIN": "False",
    "CL_CONFIG_DUMP_DISASSEMBLY": "False",
    "CL_CONFIG_DUMP_FILE_NAME_PREFIX": "",
    "CL_CONFIG_DUMP_IR_AFTER_OPTIMIZER": "",
    "CL_CONFIG_DUMP_IR_BEFORE_OPTIMIZER": "",
    "CL_CONFIG_ENABLE_PARALLEL_COPY": "True",
    "CL_CONFIG_FORCE_PROFILE_LIB_PATH": "",
    "CL_CONFIG_LLVM_OPTIONS": "",
    "CL_CONFIG_LOG_FILE": "",
    "CL_CONFIG_LTO_PM": "",
    "CL_CONFIG_REPLACE_IR_AFTER_OPTIMIZER": "",
    "CL_CONFIG_REPLACE_IR_BEFORE_OPTIMIZER": "",
    "CL_CONFIG_STACK_DEFAULT_SIZE": "8MB",
    "CL_CONFIG_STACK_EXTRA_SIZE": "1MB",
    "CL_CONFIG_USER_LOGGER": "",
    "CL_CONFIG_USE_FAST_RELAXED_MATH": "False",
    "CL_CONFIG_USE_ITT_API": "False",
    "CL_CONFIG_USE_TRAPPING": "False",
    "CL_CONFIG_USE_VECTORIZER": "True",
    "CL_CONFIG_USE_VTUNE": "False",
}


def find_library() -> Path | None:
    """The library that the package brought, or that lies where packages bring it.

    None where there is none. That may be so although the package is installed: ``pip install --target`` leaves out what
    belongs beside the environment's own libraries.
    """
    try:
        files = metadata.files(PACKAGE) or ()
    except metadata.PackageNotFoundError:
        files = ()
    places = [Path(os.path.abspath(str(file.locate()))) for file in files if file.name == LIBRARY]
    places += [Path(root, "lib", LIBRARY) for root in (sys.prefix, site.getuserbase())]
    return next((path for path in places if path.is_file()), None)


def is_installed() -> bool:
    """Whether the package is there, with or without its files."""
    try:
        metadata.version(PACKAGE)
    except metadata.PackageNotFoundError:
        return False
    return True


def without_spaces(library: Path, cache: Path) -> Path:
    """The library by a path without a space, on which the runtime insists: hard links stand in for the files.

    Raises:
        OSError: no folder on the same file system takes the links.
    """
    if " " not in str(library):
        return library
    name = "intel-opencl-" + sha256(f"{library} {library.stat().st_mtime_ns}".encode()).hexdigest()[:16]
    failure = OSError("every folder at hand has a space in its name")
    for base in (cache, Path(tempfile.gettempdir()), *library.parents):
        if " " in str(base):
            continue
        try:
            return _linked(library, base / name)
        except OSError as error:
            failure = error
    raise failure


def _linked(library: Path, folder: Path) -> Path:
    """The library in ``folder``, where links to all the files beside it are made first."""
    if folder.is_dir():
        if folder.stat().st_uid != os.geteuid():
            raise OSError(f"{folder} belongs to another user")
        return folder / library.name
    part = Path(tempfile.mkdtemp(prefix=folder.name, dir=folder.parent))
    try:
        for file in library.parent.iterdir():
            if file.is_file():
                os.link(file.resolve(), part / file.name)
        part.rename(folder)
    except OSError:
        shutil.rmtree(part, ignore_errors=True)
        if not folder.is_dir():  # else another process was faster
            raise
    return folder / library.name
