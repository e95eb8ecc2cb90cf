"""Values of the net as they are named in the ONNX graph."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from graphdl.graph.types import Element, TensorType

DTYPES: dict[Element, type[np.generic]] = {"float": np.float32, "int": np.int32, "bool": np.bool_}
"""The elements of ONNX tensors, as NumPy names them."""


@dataclass(frozen=True)
class Term:
    """A value of the net. ``type`` is that of one example; with ``batched`` the examples are the first dimension."""

    type: TensorType
    batched: bool
    name: str = ""
    """The name of the tensor. A constant has none until a node uses it, in the element type that this node wants."""
    value: np.ndarray | None = None
    """The elements of a constant."""

    @property
    def rank(self) -> int:
        """The number of dimensions of the tensor, with that of the batch."""
        return self.type.rank + self.batched

    @property
    def number(self) -> float | None:
        """The value of a constant of shape []."""
        return self.value.item() if self.value is not None and self.value.ndim == 0 else None
