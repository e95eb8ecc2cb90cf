"""A process that compiles the kernels of a ``Task`` from standard input, and ends.

The driver compiles a kernel when it is launched. So the kernel is launched for one work-group, on buffers of zeros. The
buffers have the size of the real ones, but the system provides only the pages that are touched, and gets them back
after each launch. A kernel that reads an index reads a zero, which is valid.
"""

from __future__ import annotations

import mmap
import os
import pickle
import sys
from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import pyopencl as cl

from graphdl.runtime.ahead import Task, mark_compiled
from graphdl.runtime.build import BuiltKernels, build_pack, set_numbers
from graphdl.runtime.devices import open_device
from graphdl.runtime.drivers.pocl import leave_unlisted
from graphdl.runtime.opencl import Device, compiler_warnings_ignored
from graphdl.runtime.packing import packs

_Item = TypeVar("_Item")


def main() -> None:
    """Compiles the task on standard input."""
    try:
        compile_task(pickle.load(sys.stdin.buffer))
    finally:
        leave_unlisted()


def compile_task(task: Task) -> None:
    """Compiles the kernels of a task, as long as its parent lives."""
    device = open_device(task.device)
    groups = packs(task.kernels.values(), device.info.kernels_per_program)
    with compiler_warnings_ignored():
        for group in _rotated(groups, task.share):
            if os.getppid() != task.parent:
                return
            device.built.update(build_pack(device, group, None, {}))
    kernels = BuiltKernels(device, task.kernels)
    memory = _Zeros(device)
    for trial in _rotated(task.trials, task.share):
        if os.getppid() != task.parent:
            return
        kernel = kernels.create(trial.kernel)
        for number, binding in enumerate(trial.bindings):
            place = (binding.place, binding.name)
            kernel.set_arg(2 * number, memory.buffer(place, task.buffers[place]))
            kernel.set_arg(2 * number + 1, np.uint64(binding.offset))
        set_numbers(kernel, trial.numbers)
        cl.enqueue_nd_range_kernel(device.queue, kernel, trial.local_size, trial.local_size)
        device.queue.finish()
        memory.clear()
    mark_compiled(task.kernels, device)


def _rotated(items: Sequence[_Item], share: float) -> list[_Item]:
    """All items, from the one at ``share`` of the length on."""
    start = int(len(items) * share)
    return [*items[start:], *items[:start]]


class _Zeros:
    """Buffers of zeros."""

    def __init__(self, device: Device) -> None:
        self._context = device.context
        self._maps: list[mmap.mmap] = []
        self._buffers: dict[tuple[str, str], cl.Buffer] = {}

    def buffer(self, place: tuple[str, str], nbytes: int) -> cl.Buffer:
        """The buffer of a place."""
        if place not in self._buffers:
            memory = mmap.mmap(-1, max(nbytes, mmap.PAGESIZE))
            flags = cl.mem_flags.READ_WRITE | cl.mem_flags.USE_HOST_PTR
            self._maps.append(memory)
            self._buffers[place] = cl.Buffer(self._context, flags, hostbuf=np.frombuffer(memory, np.uint8))
        return self._buffers[place]

    def clear(self) -> None:
        """Sets all buffers to zeros again and gives their memory back."""
        for memory in self._maps:
            memory.madvise(mmap.MADV_DONTNEED)
