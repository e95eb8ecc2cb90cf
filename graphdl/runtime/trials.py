"""The kernels that several processes compile, and the part of one process in it.

The driver compiles a kernel when it is launched. So the kernel is launched for one work-group, on buffers of zeros. The
buffers have the size of the real ones, but the system provides only the pages that are touched, and gets them back
after each launch. A kernel that reads an index reads a zero, which is valid.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

import numpy as np
import pyopencl as cl

from graphdl.compiler.program import Binding, Kernel
from graphdl.runtime.build import BuiltKernels, build_pack, set_numbers
from graphdl.runtime.opencl import Device, compiler_warnings_ignored
from graphdl.runtime.packing import unique_name

if TYPE_CHECKING:
    from graphdl.runtime.claims import Claims

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
    """The kernels that several processes compile: packs of them, each in the order of their first launches."""

    device: str
    """The selector of the device."""
    kernels: Mapping[str, Kernel]
    packs: Sequence[Sequence[Trial]]
    buffers: Buffers
    claims: str
    """The file of the claims: the packs first, then all kernels in the order of the packs."""
    parent: int
    """The number of the process that launches the kernels. The task is void when that process has ended."""


def compile_packs(task: Task, device: Device, claims: Claims, goes_on: Callable[[], bool]) -> None:
    """Compiles the kernels of a task that no other process compiles.

    First come the packs that no process has begun, then what is left of the others. The work ends if ``goes_on``, which
    is called before each kernel, returns false.

    Raises:
        DeviceError, pyopencl.Error: a kernel fails.
    """
    work = _Work(task, device, claims, goes_on)
    with compiler_warnings_ignored():
        for number in range(len(task.packs)):
            if claims.take(number):
                work.compile(number)
        for number in range(len(task.packs)):
            work.compile(number)


class _Work:
    def __init__(self, task: Task, device: Device, claims: Claims, goes_on: Callable[[], bool]) -> None:
        self._task = task
        self._device = device
        self._claims = claims
        self._goes_on = goes_on
        self._memory = _Zeros(device)
        self._starts = list(accumulate(map(len, task.packs), initial=len(task.packs)))
        self._built: dict[int, BuiltKernels] = {}

    def compile(self, number: int) -> None:
        """Compiles the kernels of a pack that no process has begun."""
        for part, trial in enumerate(self._task.packs[number], self._starts[number]):
            if not self._goes_on():
                return
            if self._claims.take(part):
                self._launch(self._pack(number), trial)
                self._claims.finish(part)

    def _pack(self, number: int) -> BuiltKernels:
        """The kernels of a pack. The driver stores the built program, so the first process alone takes its time."""
        if number not in self._built:
            kernels = {trial.kernel: self._task.kernels[trial.kernel] for trial in self._task.packs[number]}
            with self._claims.alone(number):
                self._device.built.update(build_pack(self._device, sorted(kernels.values(), key=unique_name), None, {}))
            self._built[number] = BuiltKernels(self._device, kernels)
        return self._built[number]

    def _launch(self, kernels: BuiltKernels, trial: Trial) -> None:
        kernel = kernels.create(trial.kernel)
        for number, binding in enumerate(trial.bindings):
            place = (binding.place, binding.name)
            kernel.set_arg(2 * number, self._memory.buffer(place, self._task.buffers[place]))
            kernel.set_arg(2 * number + 1, np.uint64(binding.offset))
        set_numbers(kernel, trial.numbers)
        cl.enqueue_nd_range_kernel(self._device.queue, kernel, trial.local_size, trial.local_size)
        self._device.queue.finish()
        self._memory.clear()


class _Zeros:
    """Buffers of zeros."""

    def __init__(self, device: Device) -> None:
        self._context = device.context
        self._maps: list[mmap.mmap] = []
        self._buffers: dict[tuple[str, str], cl.Buffer] = {}

    def buffer(self, place: tuple[str, str], nbytes: int) -> cl.Buffer:
        """The buffer of a place."""
        if place not in self._buffers:
            # Only private memory is zero again after its pages were given back.
            memory = mmap.mmap(-1, max(nbytes, mmap.PAGESIZE), mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
            flags = cl.mem_flags.READ_WRITE | cl.mem_flags.USE_HOST_PTR
            self._maps.append(memory)
            self._buffers[place] = cl.Buffer(self._context, flags, hostbuf=np.frombuffer(memory, np.uint8))
        return self._buffers[place]

    def clear(self) -> None:
        """Sets all buffers to zeros again and gives their memory back."""
        for memory in self._maps:
            memory.madvise(mmap.MADV_DONTNEED)
