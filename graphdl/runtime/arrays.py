"""The elements of the language in device memory as NumPy types, and the check of input arrays."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from graphdl.compiler.program import Slot
from graphdl.graph.elements import ELEMENTS
from graphdl.graph.types import Element

STORED: Mapping[Element, np.dtype] = {name: np.dtype(kind.stored.numpy) for name, kind in ELEMENTS.items()}
"""The NumPy types of arrays that are copied to and from a device."""


def check_array(what: str, slot: Slot, value: object) -> np.ndarray:
    """The value as an array with the slot's shape and kind of element. It is not yet converted to the stored type.

    ``float`` accepts floats of any width, ``int`` integers of any width with values of at most 32 bits, and ``bool``
    booleans.

    Raises:
        ValueError: another shape or kind of element, or an integer beyond 32 bits. The message names ``what``.
    """
    array = np.asarray(value)
    if array.shape != slot.shape:
        raise ValueError(f"{what} '{slot.name}' has shape {list(array.shape)}, expected {list(slot.shape)}")
    if array.dtype.kind not in ELEMENTS[slot.element].accepted:
        raise ValueError(
            f"{what} '{slot.name}' holds {array.dtype}, expected {ELEMENTS[slot.element].words}; "
            f"convert it with .astype(numpy.{_example(slot.element)})"
        )
    if slot.element == "int" and array.dtype.itemsize >= 4 and array.dtype != np.int32 and array.size:
        limits = np.iinfo(np.int32)
        if array.min() < limits.min or array.max() > limits.max:
            raise ValueError(f"{what} '{slot.name}' holds integers that do not fit 32 bits")
    return array


def stored_array(slot: Slot, array: np.ndarray) -> np.ndarray:
    """The array in the type and the order of device memory."""
    return np.ascontiguousarray(array, dtype=STORED[slot.element]).reshape(slot.shape)


def public_array(slot: Slot, stored: np.ndarray) -> np.ndarray:
    """The array for the user: ``uint8`` booleans of the device become ``bool``."""
    return stored.astype(np.bool_) if slot.element == "bool" else stored


def _example(element: Element) -> str:
    return "bool_" if element == "bool" else STORED[element].name
