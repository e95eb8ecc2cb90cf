"""Adadelta."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from graphdl.training.calls import TrainingCall
from graphdl.training.optimizers.optimizer import ParameterOptimizer

if TYPE_CHECKING:
    from graphdl.operators.tensor import Tensor


@dataclass(frozen=True)
class Adadelta(ParameterOptimizer):
    """Adadelta (Zeiler, 2012), as in ``torch.optim.Adadelta``."""

    lr: float
    rho: float
    eps: float
    weight_decay: float

    @property
    def slots(self) -> tuple[str, ...]:
        return "square", "change"

    def scalars(self, step: int, rate: float) -> list[float]:
        return [rate]

    def follow(
        self, parameter: Tensor, gradient: Tensor, slots: Mapping[str, Tensor], scalars: Sequence[Tensor]
    ) -> tuple[Tensor, Mapping[str, Tensor]]:
        if self.weight_decay:
            gradient = gradient + parameter * self.weight_decay
        square = slots["square"] * self.rho + gradient * gradient * (1 - self.rho)
        direction = gradient * (slots["change"] + self.eps) ** 0.5 / (square + self.eps) ** 0.5
        change = slots["change"] * self.rho + direction * direction * (1 - self.rho)
        return parameter - direction * scalars[0], {"square": square, "change": change}


def adadelta(
    call: TrainingCall, lr: float = 1.0, rho: float = 0.9, eps: float = 1e-6, weight_decay: float = 0.0
) -> Adadelta:
    """Adadelta (Zeiler, 2012): gradients times the recent root mean square of the steps, divided by that of the
    gradients.
    """
    call.in_range("lr", lr, low=0, high=None)
    call.in_range("rho", rho, low=0, high=1)
    call.in_range("eps", eps, low=0, high=None, open_low=True)
    call.in_range("weight_decay", weight_decay, low=0, high=None)
    return Adadelta(lr, rho, eps, weight_decay)


MAKERS = (adadelta,)
