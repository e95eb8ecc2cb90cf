"""Compilation on all cores with drivers that compile one kernel at a time.

PoCL compiles a kernel at its first launch. A process compiles under one lock, whatever the number of its threads and
contexts, and stores the result on disk. So further processes (``compiling.py``) compile the kernels of a program
together with this one before its first run. A process takes the packs of kernels that no other process has begun, and
then helps with the others. ``claims.py`` ensures that no kernel is compiled twice.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

import pyopencl as cl

import graphdl
from graphdl.cache import BinaryCache, cache_folder
from graphdl.compiler.program import Kernel, Program
from graphdl.diagnostics import DeviceError
from graphdl.runtime.build import Progress, build_packs, divided
from graphdl.runtime.merging import COUNTER_BYTES
from graphdl.runtime.opencl import Device
from graphdl.runtime.packing import unique_name
from graphdl.runtime.trials import Task, Trial, compile_packs

_LEAST = 10
"""The least number of kernels for each process. A process takes as long to start as it takes to compile four."""
_MOST = 8
"""The most processes, this one included."""
_POLL_SECONDS = 0.02


def compile_ahead(program: Program, device: Device, progress: Progress) -> None:
    """Compiles a program's kernels before its first run, if the driver needs it and has not compiled them.

    A kernel that fails is left to the run, which reports the error.
    """
    kernels = {key: kernel for key, kernel in program.kernels.items() if unique_name(kernel) not in device.built}
    parts = sum(kernel.parts for kernel in kernels.values())
    needed = device.info.compiles_at_launch and parts >= _LEAST and os.name == "posix"
    if not needed or is_compiled(kernels, device):
        return
    count = min(device.info.compute_units, _MOST, parts // _LEAST, len(kernels)) if sys.executable else 1
    with tempfile.NamedTemporaryFile() as file:
        groups = divided(device, kernels.values())
        task = _task(program, kernels, groups, device, file.name)
        processes = [_started(task) for _ in range(1, count)]
        try:
            if _compiled(task, device, processes, progress):
                build_packs(device, groups)
                mark_compiled(kernels, device)
        finally:
            for process in processes:
                process.kill()
                process.wait()


def is_compiled(kernels: Mapping[str, Kernel], device: Device) -> bool:
    """Whether all of these kernels have been compiled."""
    return _kept().get(*_key(kernels, device)) is not None


def mark_compiled(kernels: Mapping[str, Kernel], device: Device) -> None:
    """Stores that these kernels are compiled."""
    _kept().put(b"", *_key(kernels, device))


def _task(
    program: Program, kernels: Mapping[str, Kernel], groups: Sequence[Sequence[Kernel]], device: Device, claims: str
) -> Task:
    first = {launch.kernel: launch for launch in reversed(program.launches)}
    trials = [
        Trial(key, launch.bindings, launch.numbers, launch.local_size)
        for key, launch in reversed(first.items())
        if key in kernels
    ]
    packs = [[trial for trial in trials if kernels[trial.kernel] in group] for group in groups]
    places = [("variable", program.variables), ("feed", program.feeds), ("fetch", program.fetches)]
    buffers = {(place, name): slot.nbytes for place, slots in places for name, slot in slots.items()}
    buffers |= {("constant", name): array.nbytes for name, array in program.constants.items()}
    buffers["arena", ""] = program.arena_bytes
    buffers["counters", ""] = COUNTER_BYTES
    return Task(str(device.info.index), kernels, packs, buffers, claims, os.getpid())


def _compiled(task: Task, device: Device, processes: Sequence[subprocess.Popen[bytes]], progress: Progress) -> bool:
    """Compiles with the processes, and returns whether all kernels were compiled."""
    from graphdl.runtime.claims import Claims  # it locks files in a way that Windows lacks

    packs, total = len(task.packs), sum(map(len, task.packs))
    with closing(Claims(task.claims)) as claims:

        def goes_on() -> bool:
            progress(claims.finished(packs, packs + total), total)
            return True

        try:
            compile_packs(task, device, claims, goes_on)
        except (DeviceError, cl.Error):
            return False
        while goes_on() and claims.finished(packs, packs + total) < total:
            if all(process.poll() is not None for process in processes):
                return False
            time.sleep(_POLL_SECONDS)
    return True


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
