"""The interface of a primitive operator to the language: ports, hyperparameters, shape rule and lowering.

A primitive is declared in one file of this folder and found by name in ``graphdl.operators.PRIMITIVES``. This file must
not import NumPy or a device: ``graphdl check`` reads the table and must answer at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from graphdl.graph.operator import REQUIRED, Hyper, Infer, OperatorError
from graphdl.graph.types import TensorType

if TYPE_CHECKING:
    from graphdl.operators.tensor import Tensor

CATEGORIES = (
    "Behind the signs",
    "Element by element",
    "Reductions",
    "Sorting and prefix sums",
    "Shape and place",
    "Windows of images",
    "Convolution",
    "Classes and look-up",
    "Chance",
)
"""The groups of primitives, in the order of the language reference."""

Lower = Callable[["Lowering"], Sequence["Tensor"]]


@dataclass(frozen=True)
class Lowering:
    """The arguments of a lowering rule: operator tensors, with the batch as first dimension where ``batched``, and
    types.
    """

    inputs: tuple[Tensor, ...]
    batched: tuple[bool, ...]
    types: tuple[TensorType, ...]
    attributes: Mapping[str, Any]
    outputs: tuple[TensorType, ...]
    batch: int
    key: str
    """Identifies the node from run to run. Random draws are keyed on it and on ``step``."""
    step: Tensor | None = None
    """The number of the step in a scan, an int of shape []; None outside of scans."""


@dataclass(frozen=True)
class Primitive:
    """A primitive operator as the language sees it.

    ``elementwise`` primitives broadcast, and accept numbers as tensors. A primitive with ``foldable`` returns a number
    if all its inputs are numbers. ``unbatched`` primitives reduce over the batch: their results are not per example.
    ``random`` primitives draw separately for each example, even if their inputs are the same for all. ``flat``
    primitives have no gradient.
    """

    name: str
    inputs: tuple[str, ...]
    infer: Infer
    lower: Lower
    hypers: tuple[Hyper, ...] = ()
    outputs: tuple[str, ...] = ("y",)
    optional_inputs: int = 0
    """The number of last inputs that may be omitted."""
    variadic: bool = False
    """Whether it takes any number of inputs, or a list of them (``concat``)."""
    elementwise: bool = False
    foldable: Callable[..., float] | None = None
    unbatched: bool = False
    random: bool = False
    flat: bool = False
    moves: bool = False
    """Whether every element of the result is an element of the first input."""
    places: Callable[[Sequence[TensorType], Mapping[str, Any]], int] | None = None
    """For a primitive whose second input is an index into the first: the number of valid indices."""
    documentation: str = ""
    category: str = ""
    """One of ``CATEGORIES``, under which the reference lists it; declared by its file."""

    def batched(self, inputs: Iterable[bool]) -> bool:
        """Whether each example has its own result, given which inputs are separate for each example."""
        return self.random or (any(inputs) and not self.unbatched)


__all__ = ["CATEGORIES", "REQUIRED", "Hyper", "Infer", "Lowering", "OperatorError", "Primitive"]
