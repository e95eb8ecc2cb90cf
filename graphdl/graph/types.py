"""The type of a tensor, for one example."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from typing import Literal

Element = Literal["float", "int", "bool"]
Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class TensorType:
    """Shape and element type of one example's tensor; the batch dimension is never part of it.

    ``classes`` is set for ``class(v)``: ints from 0 to ``classes - 1``.
    """

    shape: Shape
    element: Element = "float"
    classes: int | None = None
    limit: int | None = field(default=None, compare=False)
    """Of an input that is fed, and used as an index as it is: its numbers lie from 0 to below this."""

    @property
    def rank(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        """How many elements."""
        return prod(self.shape)

    def __str__(self) -> str:
        """As the language writes it: ``[3, 224, 224]``, ``class(10)``, ``int[5]``."""
        dimensions = "[" + ", ".join(map(str, self.shape)) + "]"
        if self.classes is not None:
            return f"class({self.classes})" + (dimensions if self.shape else "")
        if self.element == "float":
            return dimensions
        return self.element + (dimensions if self.shape else "")
