"""LAMB."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING

from graphdl.operators.elementwise import apply
from graphdl.operators.reduction import reduce
from graphdl.training.calls import TrainingCall
from graphdl.training.optimizers.optimizer import ParameterOptimizer

if TYPE_CHECKING:
    from graphdl.operators.tensor import Tensor


@dataclass(frozen=True)
class LAMB(ParameterOptimizer):
    """LAMB (You et al., 2020), with the norms themselves as the scaling function of the paper's algorithm 2."""

    lr: float
    beta1: float
    beta2: float
    eps: float
    weight_decay: float

    @property
    def slots(self) -> tuple[str, ...]:
        return "mean", "square"

    def scalars(self, step: int, rate: float) -> list[float]:
        return [rate, 1 / (1 - self.beta1 ** (step + 1)), 1 / sqrt(1 - self.beta2 ** (step + 1))]

    def follow(
        self, parameter: Tensor, gradient: Tensor, slots: Mapping[str, Tensor], scalars: Sequence[Tensor]
    ) -> tuple[Tensor, Mapping[str, Tensor]]:
        rate, first, second = scalars
        mean = slots["mean"] * self.beta1 + gradient * (1 - self.beta1)
        square = slots["square"] * self.beta2 + gradient * gradient * (1 - self.beta2)
        direction = mean * first / (square**0.5 * second + self.eps)
        if self.weight_decay:
            direction = direction + parameter * self.weight_decay
        length, size = _norm(parameter), _norm(direction)
        both = apply("logical_and", apply("greater", length, 0.0), apply("greater", size, 0.0))
        trust = apply("where", both, length / apply("where", both, size, 1.0), 1.0)
        return parameter - direction * (trust * rate), {"mean": mean, "square": square}


def _norm(x: Tensor) -> Tensor:
    return reduce("sum", x * x, range(x.rank), keep=False) ** 0.5


def lamb(
    call: TrainingCall,
    lr: float = 0.001,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-6,
    weight_decay: float = 0.0,
) -> LAMB:
    """LAMB (You et al., 2020): the steps of Adam, scaled to the norm of each parameter, for large batches. Weight decay
    is part of the step.
    """
    call.in_range("lr", lr, low=0, high=None)
    call.in_range("beta1", beta1, low=0, high=1)
    call.in_range("beta2", beta2, low=0, high=1)
    call.in_range("eps", eps, low=0, high=None, open_low=True)
    call.in_range("weight_decay", weight_decay, low=0, high=None)
    return LAMB(lr, beta1, beta2, eps, weight_decay)


MAKERS = (lamb,)
