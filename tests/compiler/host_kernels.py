"""Runs compiled programs without OpenCL: the kernels' text is built by g++ and called for each work-item.

A device's compiler takes a tenth of a second for a kernel, so tens of thousands of programs are out of its reach. g++
builds hundreds of kernels a second. What OpenCL C has beyond C++ (vectors, work-items, barriers) stands in a header
here; the text of the kernels is what the device gets, but for the spelling of vectors. Every buffer lies between
stretches of NaN: what is read there spoils the result, and what is written there is noticed.
"""

from __future__ import annotations

import ctypes
import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from graphdl.compiler.program import Kernel, Launch, Program
from graphdl.runtime.arrays import STORED
from graphdl.runtime.packing import joined, unique_name

MARGIN = 256
"""Bytes of NaN on both sides of a buffer."""

HEADER = Path(__file__).with_name("host_kernels.h")

_VECTOR_TYPE = re.compile(r"ext_vector_type\((\d+)\)")
_LITERAL = re.compile(r"\(((?:float|int|uint|uchar)(?:2|4|8|16)|VECTOR|TYPE)\)\(")
_LOCAL_POINTER = re.compile(r"__local (?=\w+ \*)")
_LANE = re.compile(r"\.s([0-9a-f])\b")
_HALVES = re.compile(r"(\w+\[[^]]*\])\.(even|odd) = (\w+\[[^]]*\])\.(lo|hi);")


def translated(text: str) -> str:
    """OpenCL C as C++ with GCC's vectors. A pointer to local memory is private; an array there is shared."""
    text = _VECTOR_TYPE.sub(r"vector_size(\1 * sizeof(float))", text)
    text = _LITERAL.sub(r"make<\1>(", text)
    text = _LOCAL_POINTER.sub("", text)
    text = _LANE.sub(r"[0x\1]", text)
    return _HALVES.sub(r"set_\2(\1, \4(\3));", text)


def _entry(name: str, text: str) -> str:
    """A function that unpacks a kernel's arguments: pointers and offsets take turns, then there are numbers."""
    # The function that a kernel calls repeats the parameters.
    operands = len(set(re.findall(r"const ulong o\d+", text)))
    numbers = dict.fromkeys(re.findall(r", const (int|float) (n\d+)", text))
    types = ["void *", "ulong"] * operands + [kind for kind, _ in numbers]
    kinds = ", ".join(types)
    values = ", ".join(f"*({kind} *)a[{k}]" for k, kind in enumerate(types))
    return f'extern "C" void call_{name}(void **a) {{ ((void (*)({kinds})){name})({values}); }}\n'


def _library(kernels: Mapping[str, Kernel], folder: Path) -> ctypes.CDLL:
    """Kernels by their unique names, built into a library in a new folder."""
    folder.mkdir()
    calls = "".join(_entry(name, kernel.source) for name, kernel in kernels.items())
    source, library = folder / "kernels.cpp", folder / "kernels.so"
    text = f'#include "{HEADER}"\n{translated(joined(list(kernels.values())))}\n#line 1 "calls"\n{calls}'
    source.write_text(text, "utf-8")
    command = ["g++", "-std=c++17", "-O0", "-w", "-shared", "-fPIC", "-o", str(library), str(source)]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert not built.returncode, built.stderr[:4000]
    return ctypes.CDLL(str(library))


class HostKernels:
    """The kernels of some programs, built; ``folder`` takes the files."""

    def __init__(self, programs: Sequence[Program], folder: Path) -> None:
        kernels = {unique_name(kernel): kernel for program in programs for kernel in program.kernels.values()}
        names, parts = list(kernels), os.cpu_count() or 1
        shares = [{name: kernels[name] for name in names[part::parts]} for part in range(min(parts, len(names)))]
        with ThreadPoolExecutor() as pool:
            built = pool.map(_library, shares, (folder / str(part) for part in range(len(shares))))
            self.libraries = {name: library for share, library in zip(shares, built, strict=True) for name in share}

    def run(self, program: Program, given: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The fetches of a program and its variables after one run, by name."""
        buffers = {("arena", ""): _Buffer(max(1, program.arena_bytes))}
        slots = [("feed", program.feeds), ("variable", program.variables), ("fetch", program.fetches)]
        for place, named in slots:
            for name, slot in named.items():
                buffers[place, name] = _Buffer(slot.nbytes)
                if place != "fetch":
                    buffers[place, name].fill(np.ascontiguousarray(given[name], STORED[slot.element]))
        for name, array in program.constants.items():
            buffers["constant", name] = _Buffer(array.nbytes)
            buffers["constant", name].fill(np.ascontiguousarray(array))
        for number, turns in program.calls():
            self._launch(program, program.launches[number], turns, buffers)
        damaged = [key for key, buffer in buffers.items() if buffer.is_damaged]
        assert not damaged, f"written outside of {damaged}"
        return {
            name: buffers[place, name].read(STORED[slot.element], slot.shape)
            for place, named in slots[1:]
            for name, slot in named.items()
        }

    def _launch(
        self, program: Program, launch: Launch, turns: Sequence[int], buffers: Mapping[tuple[str, str], _Buffer]
    ) -> None:
        values: list[ctypes.c_void_p | ctypes.c_ulong | ctypes.c_int | ctypes.c_float] = []
        for binding in launch.bindings:
            values += [ctypes.c_void_p(buffers[binding.place, binding.name].address), ctypes.c_ulong(binding.at(turns))]
        values += [ctypes.c_float(n) if isinstance(n, float) else ctypes.c_int(n) for n in launch.numbers]
        arguments = (ctypes.c_void_p * len(values))(*(ctypes.addressof(value) for value in values))
        sizes = [(*size, *[1] * (3 - len(size))) for size in (launch.global_size, launch.local_size)]
        call = _Call(
            ctypes.cast(arguments, ctypes.c_void_p), (ctypes.c_ulong * 3)(*sizes[0]), (ctypes.c_ulong * 3)(*sizes[1])
        )
        kernel = program.kernels[launch.kernel]
        library = self.libraries[unique_name(kernel)]
        entry = getattr(library, f"call_{unique_name(kernel)}")
        library.run(ctypes.byref(call), entry, int("barrier(" in kernel.source))


class _Call(ctypes.Structure):
    """What the header's ``Call`` is."""

    _fields_ = (
        ("arguments", ctypes.c_void_p),
        ("global_size", ctypes.c_ulong * 3),
        ("local_size", ctypes.c_ulong * 3),
    )


class _Buffer:
    """Bytes between margins; all of them are 255 at first, which is a NaN."""

    def __init__(self, nbytes: int) -> None:
        self.nbytes = nbytes
        self.bytes = np.full(nbytes + 2 * MARGIN, 255, np.uint8)
        self.content = self.bytes[MARGIN : MARGIN + nbytes]

    @property
    def address(self) -> int:
        return int(self.content.ctypes.data)

    @property
    def is_damaged(self) -> bool:
        return bool((self.bytes[:MARGIN] != 255).any() or (self.bytes[MARGIN + self.nbytes :] != 255).any())

    def fill(self, array: np.ndarray) -> None:
        self.content[: array.nbytes] = array.reshape(-1).view(np.uint8)

    def read(self, kind: np.dtype, shape: Sequence[int]) -> np.ndarray:
        return self.content.view(kind)[: int(np.prod(shape))].reshape(shape).copy()
