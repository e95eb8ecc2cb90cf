"""Compilation on all cores with drivers that compile one kernel at a time.

PoCL compiles a kernel at its first launch. A process compiles under one lock, whatever the number of its threads and
contexts, and stores the result on disk. So further processes (``compiling.py``) compile the kernels of a program before
this process launches them. Every process starts at another kernel and skips those that are on disk.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import graphdl
from graphdl.cache import BinaryCache, cache_folder
from graphdl.compiler.program import Binding, Kernel, Program
from graphdl.runtime.opencl import Device
from graphdl.runtime.packing import unique_name

_LEAST = 10
"""The least number of kernels for each process. A process takes as long to start as it takes to compile four."""
_MOST = 8
"""The most processes, this one included."""

Buffers = Mapping[tuple[str, str], int]
"""The bytes of each buffer, by the place and the name of its bindings."""


@dataclass(frozen=True)
class Trial:
    """The first launch of a kernel: its arguments and the size of a work-group."""

    kernel: str
    bindings: tuple[Binding, ...]
    numbers: tuple[int | float, ...]
    local_size: tuple[int, ...]


@dataclass(frozen=True)
class Task:
    """The kernels that a process compiles, in the order of their first launches."""

    device: str
    """The selector of the device."""
    kernels: Mapping[str, Kernel]
    trials: Sequence[Trial]
    buffers: Buffers
    share: float
    """The place in the order where the process starts, from 0 to 1."""
    parent: int
    """The number of the process that launches the kernels. The task is void when that process has ended."""


class Ahead:
    """The processes that compile a program ahead of its launches."""

    def __init__(self, processes: Sequence[subprocess.Popen[bytes]]) -> None:
        self._processes = processes

    def end(self) -> None:
        """Ends the processes."""
        for process in self._processes:
            process.kill()
            process.wait()


def compile_ahead(program: Program, device: Device) -> Ahead:
    """Starts to compile a program's kernels in further processes, if the driver needs it and has not compiled them."""
    kernels = {key: kernel for key, kernel in program.kernels.items() if unique_name(kernel) not in device.built}
    count = min(device.info.compute_units, _MOST, len(kernels) // _LEAST)
    if not device.info.compiles_at_launch or count < 2 or not sys.executable or is_compiled(kernels, device):
        return Ahead([])
    first = {launch.kernel: launch for launch in reversed(program.launches)}
    trials = [
        Trial(key, launch.bindings, launch.numbers, launch.local_size)
        for key, launch in reversed(first.items())
        if key in kernels
    ]
    places = [("variable", program.variables), ("feed", program.feeds), ("fetch", program.fetches)]
    buffers = {(place, name): slot.nbytes for place, slots in places for name, slot in slots.items()}
    buffers |= {("constant", name): array.nbytes for name, array in program.constants.items()}
    buffers["arena", ""] = program.arena_bytes
    task = (str(device.info.index), kernels, trials, buffers)
    return Ahead([_started(Task(*task, number / count, os.getpid())) for number in range(1, count)])


def is_compiled(kernels: Mapping[str, Kernel], device: Device) -> bool:
    """Whether a process has compiled these kernels to the end."""
    return _kept().get(*_key(kernels, device)) is not None


def mark_compiled(kernels: Mapping[str, Kernel], device: Device) -> None:
    """Stores that these kernels are compiled."""
    _kept().put(b"", *_key(kernels, device))


def _started(task: Task) -> subprocess.Popen[bytes]:
    begin = "import sys; sys.path.insert(0, sys.argv[1]); from graphdl.runtime.compiling import main; main()"
    with tempfile.TemporaryFile() as file:
        pickle.dump(task, file)
        file.seek(0)
        return subprocess.Popen(
            [sys.executable, "-c", begin, str(Path(graphdl.__file__).parent.parent)],
            stdin=file, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip


def _kept() -> BinaryCache:
    return BinaryCache(cache_folder() / "compiled")


def _key(kernels: Mapping[str, Kernel], device: Device) -> tuple[str, ...]:
    info = device.info
    names = sorted(map(unique_name, kernels.values()))
    return (info.platform, info.platform_version, info.name, info.driver_version, *names)
