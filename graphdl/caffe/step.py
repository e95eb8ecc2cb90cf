"""One layer of a Caffe net while it is translated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphdl.caffe.network import Layer, UnsupportedLayerError
from graphdl.caffe.weights import Weights
from graphdl.importing.terms import Term, block, call
from graphdl.importing.text import NetText


@dataclass(frozen=True)
class Step:
    """A layer, the values that it reads, and what is written. Shapes are those of an example: Caffe's axis 1 is 0."""

    layer: Layer
    inputs: Sequence[Term]
    text: NetText
    weights: Weights
    label: str
    """The name of its module."""
    batch: int
    """The size of the batch that the file has; it may be another when the net runs."""
    scale: Layer | None = None
    """The Scale behind a BatchNorm, whose numbers become those of the normalization."""

    @property
    def x(self) -> Term:
        """The only input.

        Raises:
            UnsupportedLayerError: there are several, or none.
        """
        if len(self.inputs) != 1:
            raise UnsupportedLayerError(f"it reads {len(self.inputs)} blobs")
        return self.inputs[0]

    def image(self, x: Term) -> Term:
        """Checks that a value is an image.

        Raises:
            UnsupportedLayerError: it is none.
        """
        if x.rank != 3:
            raise UnsupportedLayerError(f"it reads {x.type}, which is no image")
        return x

    def options(self, name: str) -> Any:
        return self.layer.options(name)

    def axis(self, axis: int, rank: int) -> int:
        """The dimension of an example for one of the blob.

        Raises:
            UnsupportedLayerError: it is the batch, or there is none.
        """
        found = axis + rank if axis < 0 else axis - 1
        if not 0 <= found < rank:
            reason = "is the batch" if found == -1 else f"does not exist in a blob of {rank + 1} dimensions"
            raise UnsupportedLayerError(f"axis {axis} {reason}")
        return found

    def weight(self, index: int, shape: Sequence[int], *, turned: bool = False) -> np.ndarray:
        return self.weights.take(self.layer, index, shape, turned=turned)

    def parameter(self, port: str, array: np.ndarray, shape: Sequence[int]) -> Term:
        """A parameter of the net itself."""
        return self.text.declare(f"{self.label}_{port}", array.reshape(shape))

    def module(self, name: str, x: Term, shape: Sequence[int], weights: Mapping[str, np.ndarray], *hypers: Any,
               **named: Any) -> Term:  # fmt: skip
        """A layer of the library with these parameters."""
        return self.text.layer(self.through(name, x, shape, *hypers, **named), self.label, weights)

    def through(self, name: str, x: Term, shape: Sequence[int], *hypers: Any, **named: Any) -> Term:
        """A layer of the library without parameters."""
        return block(name, self.keep(x), shape, *hypers, **named)

    def keep(self, x: Term) -> Term:
        return self.text.keep(x)[0]


def short(value: float) -> float:
    """The shortest decimal number that single precision rounds to this one: what the file said."""
    return float(str(np.float32(value)))


def shape_of(primitive: str, x: Term, *others: Term, **attributes: Any) -> tuple[int, ...]:
    """The shape of a result of a primitive."""
    return call(primitive, x, *others, **attributes).shape
