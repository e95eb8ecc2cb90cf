"""The choice of the next token from the probabilities that a net gives to each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphdl.diagnostics import Diagnostic, ModelError

Floats = NDArray[np.floating[Any]]

_LEAST = 1e-30
"""The least probability whose logarithm is taken."""


def log_probabilities(values: Floats) -> NDArray[np.float64]:
    """The logarithms of the probabilities along the last dimension, of probabilities or of logits.

    Raises:
        ModelError: E0615, a number is not finite.
    """
    x = np.asarray(values, np.float64)
    if not np.isfinite(x).all():
        raise ModelError(Diagnostic("E0615", "the net's probabilities are not finite: its weights are useless"))
    if (x >= 0).all() and (abs(x.sum(axis=-1) - 1) < 1e-3).all():
        return np.log(np.maximum(x, _LEAST))
    x = x - x.max(axis=-1, keepdims=True)
    result: NDArray[np.float64] = x - np.log(np.exp(x).sum(axis=-1, keepdims=True))
    return result


@dataclass(frozen=True)
class Sampling:
    """The way in which a token is drawn.

    Its probability is in proportion to ``p ** (1 / temperature)``; with a temperature of 0 the likeliest one is taken.
    Only the ``top_k`` likeliest tokens are drawn from, and of them the likeliest whose probabilities make up ``top_p``
    (nucleus sampling: Holtzman et al., 2020).
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.temperature < np.inf:
            raise ValueError(f"the temperature is a number from 0 on, not {self.temperature}")
        if self.top_k is not None and self.top_k < 1:
            raise ValueError(f"top_k is at least 1, not {self.top_k}")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p is above 0 and at most 1, not {self.top_p}")

    def probabilities(self, logs: NDArray[np.float64]) -> NDArray[np.float64]:
        """The probabilities with which each token is drawn, for the logarithms ``[tokens]`` of those of the net."""
        order = np.argsort(-logs, kind="stable")
        if self.temperature == 0:
            likeliest: NDArray[np.float64] = np.eye(len(logs))[order[0]]
            return likeliest
        with np.errstate(over="ignore"):  # a temperature near 0 leaves the likeliest token alone
            chances = np.exp((logs - logs.max()) / self.temperature)
        chances /= chances.sum()
        if self.top_k is not None:
            chances[order[self.top_k :]] = 0
            chances /= chances.sum()
        if self.top_p < 1:
            before = np.cumsum(chances[order]) - chances[order]
            chances[order[before >= self.top_p]] = 0
        result: NDArray[np.float64] = chances / chances.sum()
        return result

    def draw(self, logs: NDArray[np.float64], random: np.random.Generator) -> int:
        """The number of the next token."""
        return int(random.choice(len(logs), p=self.probabilities(logs)))
