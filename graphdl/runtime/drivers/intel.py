"""Intel's OpenCL runtime for CPUs as installed by pip: its location, and protection from foreign settings."""

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

# The runtime reads cl.cfg from the current folder before its own, at every step. Variables take precedence over both.
# An empty value means "not set". Where the runtime needs a word or a number, its own default is given.
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
    """The library of the package, or the one in the folder where packages install it; None if there is none.

    There may be none although the package is installed: ``pip install --target`` leaves out files that belong beside
    the environment's own libraries.
    """
    try:
        files = metadata.files(PACKAGE) or ()
    except metadata.PackageNotFoundError:
        files = ()
    places = [Path(os.path.abspath(str(file.locate()))) for file in files if file.name == LIBRARY]
    places += [Path(root, "lib", LIBRARY) for root in (sys.prefix, site.getuserbase())]
    return next((path for path in places if path.is_file()), None)


def is_installed() -> bool:
    """Whether the package is installed, with or without its files."""
    try:
        metadata.version(PACKAGE)
    except metadata.PackageNotFoundError:
        return False
    return True


def without_spaces(library: Path, cache: Path) -> Path:
    """A path of the library without spaces, which the runtime requires. Hard links replace the files if necessary.

    Raises:
        OSError: links cannot be made in any folder on the same file system.
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
    """Links all files beside the library into ``folder`` and returns the library's path there."""
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
