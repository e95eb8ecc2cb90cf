"""Adam and AdamW."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING

from graphdl.training.calls import TrainingCall
from graphdl.training.optimizers.optimizer import ParameterOptimizer

if TYPE_CHECKING:
    from graphdl.operators.tensor import Tensor


@dataclass(frozen=True)
class Adam(ParameterOptimizer):
    """Adam (Kingma and Ba, 2015), or AdamW with ``decoupled`` weight decay (Loshchilov and Hutter, 2019)."""

    lr: float
    beta1: float
    beta2: float
    eps: float
    weight_decay: float
    decoupled: bool

    @property
    def slots(self) -> tuple[str, ...]:
        return "mean", "square"

    def scalars(self, step: int, rate: float) -> list[float]:
        correction1 = 1 - self.beta1 ** (step + 1)
        correction2 = 1 - self.beta2 ** (step + 1)
        return [rate / correction1, 1 / sqrt(correction2), 1 - rate * self.weight_decay]

    def follow(
        self, parameter: Tensor, gradient: Tensor, slots: Mapping[str, Tensor], scalars: Sequence[Tensor]
    ) -> tuple[Tensor, Mapping[str, Tensor]]:
        rate, scale, shrink = scalars
        if self.weight_decay and self.decoupled:
            parameter = parameter * shrink
        elif self.weight_decay:
            gradient = gradient + parameter * self.weight_decay
        mean = slots["mean"] + (gradient - slots["mean"]) * (1 - self.beta1)
        square = slots["square"] * self.beta2 + gradient * gradient * (1 - self.beta2)
        deviation = square**0.5 * scale + self.eps
        return parameter - mean / deviation * rate, {"mean": mean, "square": square}


def adam(
    call: TrainingCall,
    lr: float = 0.001,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
) -> Adam:
    """Adam (Kingma and Ba, 2015); weight decay is added to the gradient."""
    return _adam(call, lr, beta1, beta2, eps, weight_decay, decoupled=False)


def adamw(
    call: TrainingCall,
    lr: float = 0.001,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
    weight_decay: float = 0.01,
) -> Adam:
    """Adam with decoupled weight decay (Loshchilov and Hutter, 2019), which is applied to the weights directly."""
    return _adam(call, lr, beta1, beta2, eps, weight_decay, decoupled=True)


def _adam(
    call: TrainingCall, lr: float, beta1: float, beta2: float, eps: float, weight_decay: float, *, decoupled: bool
) -> Adam:
    call.in_range("lr", lr, low=0, high=None)
    call.in_range("beta1", beta1, low=0, high=1)
    call.in_range("beta2", beta2, low=0, high=1)
    call.in_range("eps", eps, low=0, high=None, open_low=True)
    call.in_range("weight_decay", weight_decay, low=0, high=None)
    return Adam(lr, beta1, beta2, eps, weight_decay, decoupled)


MAKERS = (adam, adamw)
