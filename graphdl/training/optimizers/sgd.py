"""Stochastic gradient descent, plain and with momentum."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from graphdl.training.calls import TrainingCall
from graphdl.training.optimizers.optimizer import ParameterOptimizer

if TYPE_CHECKING:
    from graphdl.operators.tensor import Tensor


@dataclass(frozen=True)
class SGD(ParameterOptimizer):
    """Stochastic gradient descent, with Polyak's (1964) or Nesterov's (1983) momentum in the form of Sutskever et al.
    (2013).

    It equals ``torch.optim.SGD`` with a dampening of 0.
    """

    lr: float
    momentum: float
    nesterov: bool
    weight_decay: float

    @property
    def slots(self) -> tuple[str, ...]:
        return ("momentum",) if self.momentum else ()

    def scalars(self, step: int, rate: float) -> list[float]:
        return [rate]

    def follow(
        self, parameter: Tensor, gradient: Tensor, slots: Mapping[str, Tensor], scalars: Sequence[Tensor]
    ) -> tuple[Tensor, Mapping[str, Tensor]]:
        if self.weight_decay:
            gradient = gradient + parameter * self.weight_decay
        if not self.momentum:
            return parameter - gradient * scalars[0], {}
        velocity = slots["momentum"] * self.momentum + gradient
        direction = gradient + velocity * self.momentum if self.nesterov else velocity
        return parameter - direction * scalars[0], {"momentum": velocity}


def sgd(
    call: TrainingCall, lr: float = 0.01, momentum: float = 0.0, nesterov: bool = False, weight_decay: float = 0.0
) -> SGD:
    """Stochastic gradient descent; momentum is Polyak's (1964), or Nesterov's (1983) with ``nesterov = true``."""
    call.in_range("lr", lr, low=0, high=None)
    call.in_range("momentum", momentum, low=0, high=1)
    call.in_range("weight_decay", weight_decay, low=0, high=None)
    if nesterov and not momentum:
        raise call.error("E0613", "'nesterov' of 'sgd' needs a momentum", argument="nesterov", help="momentum = 0.9")
    return SGD(lr, momentum, nesterov, weight_decay)


MAKERS = (sgd,)
