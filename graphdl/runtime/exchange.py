"""The memory of a program's feeds and fetches: how the arrays of the host reach the device, and results the host.

Where the device and the host can use the same memory, the host writes a feed where kernels read it, and reads a fetch
where a kernel wrote it. A copy by the device would be one more command, for which a thread of a CPU's driver wakes, and
for which the host waits. Two runs can be in flight, so such a feed or fetch has two places, which the runs use in turn.
Everywhere else, and for large arrays, for which memory counts more than a command, the device copies.
"""

from __future__ import annotations

from math import prod
from typing import Any, Protocol, TypeAlias
from weakref import finalize

import numpy as np
import pyopencl as cl

from graphdl.compiler.program import Slot
from graphdl.diagnostics import DeviceError
from graphdl.runtime.arrays import STORED, public_array
from graphdl.runtime.opencl import Device

TURNS = 2
"""The number of runs that can be in flight. Run ``n`` has turn ``n % TURNS``."""
_LARGEST_SHARED = 1 << 20
"""Bytes of the largest feed or fetch that has memory for each turn."""

Memory: TypeAlias = "cl.Buffer | cl.SVM[Any]"
"""What a kernel's argument is set to."""


class Pending:
    """A fetched array that may not have arrived yet.

    One that is copied by the device and is dropped unread waits for its arrival first.
    """

    def __init__(self, slot: Slot, stored: np.ndarray, event: cl.Event, *, lent: bool) -> None:
        """``lent`` says that ``stored`` is memory that a later run writes."""
        self._slot = slot
        self._stored = stored
        self._event = event
        self._lent = lent

    def result(self) -> np.ndarray:
        """Waits for the array and returns it.

        Raises:
            DeviceError: a launch before it failed.
        """
        try:
            self._event.wait()
        except cl.Error as error:
            raise DeviceError(f"fetching '{self._slot.name}' failed: {error}") from error
        self.keep()
        return public_array(self._slot, self._stored)

    def keep(self) -> None:
        """Copies an array that has arrived from memory that a later run writes."""
        if self._lent:
            self._stored = self._stored.copy()
            self._lent = False


class Exchange(Protocol):
    """The memory of a feed or a fetch."""

    def memory(self, turn: int) -> Memory:
        """What the kernels of the runs with this turn read or write."""

    def write(self, array: np.ndarray, turn: int, queue: cl.CommandQueue) -> list[cl.Event]:
        """Converts the array to the stored type for a run with this turn. Returns the events of commands for it.

        The run before the last has ended.
        """

    def read(self, turn: int, queue: cl.CommandQueue, last: cl.Event) -> Pending:
        """The array after the last run, which had this turn, and whose last command is ``last``."""

    def spoil(self, queue: cl.CommandQueue) -> None:
        """Fills the memory with NaN. No run is in flight."""


def exchange(device: Device, slot: Slot) -> Exchange:
    """The memory of a feed or a fetch on a device.

    Raises:
        pyopencl.Error: there is no room.
    """
    shared = device.info.shares_memory and slot.nbytes <= _LARGEST_SHARED
    return _Shared(device, slot) if shared else _Copied(device, slot)


class _Shared:
    """Memory of the host and the device, a place for each turn."""

    def __init__(self, device: Device, slot: Slot) -> None:
        self._slot = slot
        count, kind = prod(slot.shape), STORED[slot.element]
        flat = [
            cl.fsvm_empty(device.context, max(1, count), kind, alignment=device.info.cache_line) for _ in range(TURNS)
        ]
        self._arrays = [each[:count].reshape(slot.shape) for each in flat]
        self._memory = [cl.SVM(each) for each in flat]
        # A kernel does not keep such memory alive. PoCL 3.0's command that frees it later reads a list that is gone.
        finalize(self, device.queue.finish)

    def memory(self, turn: int) -> Memory:
        return self._memory[turn]

    def write(self, array: np.ndarray, turn: int, queue: cl.CommandQueue) -> list[cl.Event]:
        np.copyto(self._arrays[turn], array, casting="same_kind")
        return []

    def read(self, turn: int, queue: cl.CommandQueue, last: cl.Event) -> Pending:
        return Pending(self._slot, self._arrays[turn], last, lent=True)

    def spoil(self, queue: cl.CommandQueue) -> None:
        for array in self._arrays:
            array.reshape(-1).view(np.uint8).fill(0xFF)


class _Copied:
    """Memory of the device, which the device copies from and to arrays of the host."""

    def __init__(self, device: Device, slot: Slot) -> None:
        self._slot = slot
        self._buffer = cl.Buffer(device.context, cl.mem_flags.READ_WRITE, slot.nbytes)
        self._staging: list[np.ndarray] = []

    def memory(self, turn: int) -> Memory:
        return self._buffer

    def write(self, array: np.ndarray, turn: int, queue: cl.CommandQueue) -> list[cl.Event]:
        if not self._staging:
            self._staging = [np.empty(self._slot.shape, STORED[self._slot.element]) for _ in range(TURNS)]
        np.copyto(self._staging[turn], array, casting="same_kind")
        return [cl.enqueue_copy(queue, self._buffer, self._staging[turn], is_blocking=False)]

    def read(self, turn: int, queue: cl.CommandQueue, last: cl.Event) -> Pending:
        stored = np.empty(self._slot.shape, STORED[self._slot.element])
        event = cl.enqueue_copy(queue, stored, self._buffer, is_blocking=False)
        queue.flush()
        return Pending(self._slot, stored, event, lent=False)

    def spoil(self, queue: cl.CommandQueue) -> None:
        cl.enqueue_fill_buffer(queue, self._buffer, np.full(1, 0xFF, np.uint8), 0, self._slot.nbytes)
