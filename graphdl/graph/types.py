"""The type of a tensor, for one example."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from typing import Literal

Element = Literal["float", "int", "bool"]
Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class TensorType:
    """The shape and the element type of a tensor for one example. The batch is never a dimension of it.

    ``classes`` is set for ``class(v)``: ints from 0 to ``classes - 1``.
    """

    shape: Shape
    element: Element = "float"
    classes: int | None = None
    limit: int | None = field(default=None, compare=False)
    """For a fed input that is used directly as an index: its ints must be at least 0 and less than this limit."""

    @property
    def rank(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        """The number of elements."""
        return prod(self.shape)

    def __str__(self) -> str:
        """The type as the language writes it: ``[3, 224, 224]``, ``class(10)``, ``int[5]``."""
        dimensions = "[" + ", ".join(map(str, self.shape)) + "]"
        if self.classes is not None:
            return f"class({self.classes})" + (dimensions if self.shape else "")
        if self.element == "float":
            return dimensions
        return self.element + (dimensions if self.shape else "")
