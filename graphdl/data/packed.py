"""Pictures that are parts of larger files, decoded on demand."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np

from graphdl.data.dataset import Array, Field, Rows
from graphdl.data.pictures import decode_open
from graphdl.data.reading import Reading
from graphdl.graph.types import TensorType


class Packed(Protocol):
    """A part of a file."""

    @property
    def path(self) -> Path:
        """The place of the part, for messages."""
        ...

    def read(self, reading: Reading) -> bytes:
        """The content."""
        ...


@dataclass(frozen=True, eq=False)
class PackedImages(Field):
    """Pictures in larger files, decoded, scaled and cropped to ``type.shape`` when they are taken."""

    members: Sequence[Packed]
    type: TensorType
    reading: Reading

    def __len__(self) -> int:
        return len(self.members)

    def take(self, rows: Rows) -> Array:
        images = np.empty((len(rows), *self.type.shape), np.float32)
        for image, row in zip(images, rows, strict=True):
            member = self.members[row]
            image[...] = decode_open(self.reading, member.path, io.BytesIO(member.read(self.reading)), self.type.shape)
        return images

    def select(self, rows: Rows) -> PackedImages:
        return replace(self, members=[self.members[row] for row in rows])

    def place(self, row: int) -> str | None:
        return str(self.members[row].path)
