"""Fields of mapped files: of an array larger than memory, only the examples of a batch are read."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from graphdl.data.dataset import DTYPES, Array, Field, Origin, Rows, numbers
from graphdl.data.reading import Reading
from graphdl.graph.types import TensorType


@dataclass(frozen=True, eq=False)
class MappedField(Field):
    """Some examples of a mapped array ``[examples, *type.shape]``. They are divided by ``divisor`` when they are taken.

    A float that 32 bits cannot hold becomes infinite, and feeding it is an error.
    """

    values: np.memmap[Any, Any]
    rows: Rows
    type: TensorType
    divisor: float
    origin: Origin
    reading: Reading

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, rows: Rows) -> Array:
        taken = np.asarray(self.values[self.rows[rows]])
        if self.type.element == "int" and taken.size and (taken.min() < -(2**31) or taken.max() >= 2**31):
            is_large = ((taken < -(2**31)) | (taken >= 2**31)).reshape(len(rows), -1).any(axis=1)
            place = self.place(int(rows[np.argmax(is_large)]))
            raise self.reading.error("E0717", f"{place}: an int is too large for 32 bits")
        with np.errstate(over="ignore"):
            taken = taken.astype(DTYPES[self.type.element], order="C", copy=False)
        if self.divisor != 1.0:
            taken /= np.float32(self.divisor)
        return taken

    def select(self, rows: Rows) -> MappedField:
        return replace(self, rows=self.rows[rows], origin=self.origin.select(rows))

    def place(self, row: int) -> str | None:
        return self.origin.of(row)


def mapped(reading: Reading, values: np.memmap[Any, Any], origin: Origin) -> MappedField:
    """A field of a mapped array: of the type that it would have in memory.

    Raises:
        ValueError: the elements cannot be fed.
    """
    is_pixels = values.dtype == np.uint8 and values.ndim >= 3
    kind = TensorType(values.shape[1:]) if is_pixels else numbers(np.asarray(values[:0])).type
    return MappedField(values, np.arange(len(values)), kind, 255.0 if is_pixels else 1.0, origin, reading)
