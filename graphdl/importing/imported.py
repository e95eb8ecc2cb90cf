"""The result of an import."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Imported:
    """A net as text in the language, with the values of its parameters and states by path.

    ``batched`` says whether the examples of a batch are those of the imported model. If not, the net has all dimensions
    of the model, and one example is one run of it.
    """

    text: str
    weights: Mapping[str, np.ndarray]
    batched: bool = True
