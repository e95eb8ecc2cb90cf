"""What a primitive operator is to the language: its ports, its hyperparameters, its shape rule and its lowering.

A primitive is declared in one file of this folder and found by name in ``graphdl.operators.PRIMITIVES``. Nothing here
may import NumPy or a device: ``graphdl check`` reads this table and must answer at once.
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
"""The groups of primitives, in the order of the reference."""

Lower = Callable[["Lowering"], Sequence["Tensor"]]


@dataclass(frozen=True)
class Lowering:
    """What a lowering rule is given: the inputs as operator tensors, batch dimension first where ``batched``."""

    inputs: tuple[Tensor, ...]
    batched: tuple[bool, ...]
    types: tuple[TensorType, ...]
    attributes: Mapping[str, Any]
    outputs: tuple[TensorType, ...]
    batch: int
    key: str
    """Names the node, the same from run to run: random draws are keyed on it, and on ``step``."""
    step: Tensor | None = None
    """The number of the step in a scan, an int of shape []; None outside of scans."""


@dataclass(frozen=True)
class Primitive:
    """One primitive operator as the language sees it.

    ``elementwise`` primitives take numbers for tensors and broadcast. A primitive with ``foldable`` gives a number when
    all its inputs are numbers. ``unbatched`` ones reduce over the batch: their results belong to no example. ``random``
    ones draw anew for each example, also where their inputs are the same for all. A ``flat`` one has no slope: no
    gradient comes through it.
    """

    name: str
    inputs: tuple[str, ...]
    infer: Infer
    lower: Lower
    hypers: tuple[Hyper, ...] = ()
    outputs: tuple[str, ...] = ("y",)
    optional_inputs: int = 0
    """How many of the last inputs may be left out."""
    variadic: bool = False
    """Any number of inputs, or a list of them (``concat``)."""
    elementwise: bool = False
    foldable: Callable[..., float] | None = None
    unbatched: bool = False
    random: bool = False
    flat: bool = False
    moves: bool = False
    """Whether the result holds elements of the first input, and no others."""
    places: Callable[[Sequence[TensorType], Mapping[str, Any]], int] | None = None
    """Of a primitive whose second input is an index into the first: how many places there are to choose from."""
    documentation: str = ""
    category: str = ""
    """One of ``CATEGORIES``: where the reference lists it. Its file says which."""

    def batched(self, inputs: Iterable[bool]) -> bool:
        """Whether each example has its own result, from whether it has its own of each input."""
        return self.random or (any(inputs) and not self.unbatched)


__all__ = ["CATEGORIES", "REQUIRED", "Hyper", "Infer", "Lowering", "OperatorError", "Primitive"]
