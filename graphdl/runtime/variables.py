"""Persistent variables on a device: parameters, states and the optimizer's variables, shared by programs by name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, MutableMapping

import numpy as np
import pyopencl as cl

from graphdl.compiler.program import Slot
from graphdl.diagnostics import DeviceError
from graphdl.runtime.arrays import STORED, check_array, public_array, stored_array
from graphdl.runtime.opencl import Device, device_errors


class VariableStore(MutableMapping[str, np.ndarray]):
    """Variables by name. Reading one copies it from the device; assigning copies it to the device.

    ``add`` creates variables. They start as zeros and live as long as the store.
    """

    def __init__(self, device: Device) -> None:
        self.device = device
        self.version = 0
        """A number that changes whenever a variable may have changed."""
        self._slots: dict[str, Slot] = {}
        self._buffers: dict[str, cl.Buffer] = {}

    def add(self, slots: Iterable[Slot]) -> None:
        """Allocates the variables that do not exist yet.

        Raises:
            ValueError: a variable exists with another shape or element type.
            DeviceError: the device has too little memory.
        """
        for slot in slots:
            known = self._slots.get(slot.name)
            if known is None:
                self._buffers[slot.name] = self._allocate(slot)
                self._slots[slot.name] = slot
            elif (known.shape, known.element) != (slot.shape, slot.element):
                raise ValueError(
                    f"variable '{slot.name}' is {known.element}{list(known.shape)} in the store, "
                    f"but a program wants {slot.element}{list(slot.shape)}"
                )

    def buffer(self, name: str) -> cl.Buffer:
        """The device memory of a variable."""
        return self._buffers[name]

    def slot(self, name: str) -> Slot:
        """The shape and the element type of a variable."""
        return self._slots[name]

    def __getitem__(self, name: str) -> np.ndarray:
        slot = self._slots[name]
        stored = np.empty(slot.shape, STORED[slot.element])
        with device_errors(f"reading variable '{name}'"):
            cl.enqueue_copy(self.device.queue, stored, self._buffers[name])
        return public_array(slot, stored)

    def __setitem__(self, name: str, value: object) -> None:
        """Overwrites an existing variable.

        Raises:
            KeyError: no program has such a variable.
            ValueError: the shape or the kind of element differs.
        """
        slot = self._slots[name]
        stored = stored_array(slot, check_array("variable", slot, value))
        with device_errors(f"writing variable '{name}'"):
            cl.enqueue_copy(self.device.queue, self._buffers[name], stored)
        self.version += 1

    def __delitem__(self, name: str) -> None:
        """Removes a variable. Executors that were made before keep its memory."""
        del self._slots[name], self._buffers[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._slots)

    def __len__(self) -> int:
        return len(self._slots)

    def _allocate(self, slot: Slot) -> cl.Buffer:
        try:
            buffer = cl.Buffer(self.device.context, cl.mem_flags.READ_WRITE, slot.nbytes)
            cl.enqueue_fill_buffer(self.device.queue, buffer, np.zeros(1, np.uint8), 0, slot.nbytes)
        except cl.Error as error:
            raise DeviceError(
                f"no room on {self.device.info.name} for variable '{slot.name}' "
                f"({slot.nbytes / 2**20:.1f} MiB): {error}"
            ) from error
        return buffer
