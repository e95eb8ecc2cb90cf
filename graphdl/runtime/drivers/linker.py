"""The linker for PoCL: a program named ``ld`` that tries the system's linker, then the one in ``ld.py``."""

from __future__ import annotations

import os
import shlex
import sys
import tempfile
from hashlib import sha256
from pathlib import Path

from graphdl.cache import cache_folder, usable_folder

# PoCL names its objects *.so.o. All other calls from this process go to the system's linker.
_SCRIPT = """#!/bin/sh
case "$*" in
*.so.o\\ *) ld "$@" 2>/dev/null || exec {python} -I -S {linker} "$@" ;;
*) exec ld "$@" ;;
esac
"""


def install_linker() -> None:
    """Puts the program first on COMPILER_PATH, where PoCL's compiler looks for linkers.

    The variable stays set: PoCL links a kernel at its first launch.
    """
    if not sys.executable:  # Python inside another program
        return
    folder = str(_program().parent)
    known = os.environ.get("COMPILER_PATH", "").split(os.pathsep)
    if folder not in known:
        os.environ["COMPILER_PATH"] = os.pathsep.join(filter(None, [folder, *known]))


def _program() -> Path:
    linker = Path(__file__).with_name("ld.py")
    text = _SCRIPT.format(python=shlex.quote(sys.executable), linker=shlex.quote(str(linker)))
    name = "linker-" + sha256(text.encode()).hexdigest()[:16]
    program = usable_folder(cache_folder() / name, executable=True) / "ld"
    if not program.is_file() or program.read_text() != text:
        descriptor, temporary = tempfile.mkstemp(dir=program.parent)
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
        os.chmod(temporary, 0o700)
        os.replace(temporary, program)
    return program
