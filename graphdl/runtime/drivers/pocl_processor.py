"""PoCL on a processor that its LLVM does not know: the device gets the name of a processor that LLVM knows.

PoCL asks LLVM for the processor's name, stores it in the device's record, and passes it to the compiler at every build.
An LLVM that is older than the processor returns ``generic``, which the compiler refuses: "unknown target CPU 'generic'"
(PoCL's issue 1049). No variable and no build option of PoCL 3 changes the name.

The calls inside the library are bound when it is linked. Neither an earlier symbol nor an entry of the GOT would reach
them, and code pages are not writable everywhere. The record, however, is in ordinary memory, and the name is read from
it at every build. So the record is searched for a pointer to the refused name, which is replaced by a pointer to a
known name. This works after a failed build, with any version of PoCL whose record holds the name, and needs no special
permission.
"""

from __future__ import annotations

import ctypes
import os
import platform
import re
import struct
from pathlib import Path

from graphdl.diagnostics import DeviceError

CURES = (
    'install Intel\'s runtime (pip install "graphdl[intel]"; its licence is proprietary), '
    "or your distribution's PoCL (on Debian and Ubuntu: apt install pocl-opencl-icd)"
)

_REFUSAL = re.compile(r"unknown target CPU '([^']+)'")

_V2 = frozenset(["cx16", "lahf_lm", "popcnt", "pni", "sse4_1", "sse4_2", "ssse3"])
_AVX = _V2 | frozenset(["avx", "pclmulqdq", "xsave", "xsaveopt"])
_AVX2 = _V2 | frozenset(["abm", "avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "movbe", "xsave"])
_AVX512 = _AVX2 | frozenset(["avx512bw", "avx512cd", "avx512dq", "avx512f", "avx512vl"])

PROCESSORS: tuple[tuple[str, frozenset[str]], ...] = (
    ("x86-64-v4", _AVX512),
    ("x86-64-v3", _AVX2),
    ("sandybridge", _AVX),
    ("x86-64", frozenset()),
)
"""Names that LLVM has known since version 12, best first, and the flags of ``/proc/cpuinfo`` that each requires."""

_RECORD_BYTES = 4096
"""The number of bytes to search. PoCL's record of a device is about 1 KiB in version 3; the name's
pointer is inside.
"""

_POINTER = struct.Struct("@P")


def refused_processor(log: str) -> str | None:
    """The processor name that a build log refuses; None for any other error, or if the processor is not an x86-64."""
    found = _REFUSAL.search(log)
    return found[1] if found and platform.machine() == "x86_64" else None


def known_processor(flags: frozenset[str]) -> str:
    """The best name of ``PROCESSORS`` whose flags are all in ``flags``."""
    return next(name for name, needed in PROCESSORS if needed <= flags)


def processor_flags() -> frozenset[str]:
    """The flags of the first processor in ``/proc/cpuinfo``; empty if there is no such file."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return frozenset()
    found = re.search(r"^flags\s*:(.*)$", text, re.MULTILINE)
    return frozenset(found[1].split()) if found else frozenset()


def rename_processor(record: int, refused: str, known: str) -> None:
    """Makes the device with its record at address ``record`` build for ``known`` instead of ``refused``.

    The first pointer to the refused name is the record's. The search may go beyond the end of the record, where freed
    memory can hold a copy of it.

    Raises:
        DeviceError: the record does not hold the refused name; nothing was changed.
    """
    wanted = refused.encode() + b"\0"
    with _Memory() as memory:
        words = memory.read(record, _RECORD_BYTES)
        places = [
            record + offset
            for offset in range(0, len(words) - _POINTER.size + 1, _POINTER.size)
            if memory.read(_POINTER.unpack_from(words, offset)[0], len(wanted)) == wanted
        ]
    if not places:
        raise DeviceError(f"its compiler does not know this processor ('{refused}'): {CURES}")
    duplicate = ctypes.CDLL(None).strdup  # PoCL may free the name, so it comes from the same allocator
    duplicate.restype = ctypes.c_void_p
    ctypes.c_void_p.from_address(places[0]).value = duplicate(known.encode())


class _Memory:
    """Reads this process's memory through a pipe: an unreadable address gives an error, where a
    plain read would crash.
    """

    def __enter__(self) -> _Memory:
        self._out, self._in = os.pipe()
        self._write = ctypes.CDLL(None).write
        self._write.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t)
        self._write.restype = ctypes.c_ssize_t
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._out)
        os.close(self._in)

    def read(self, address: int, count: int) -> bytes:
        """Up to ``count`` bytes, fewer where the readable memory ends. The count is at most 4096, which fits into any
        pipe.
        """
        written = self._write(self._in, address, count)
        return os.read(self._out, written) if written > 0 else b""
