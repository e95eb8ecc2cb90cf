"""Lion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from graphdl.operators.elementwise import apply
from graphdl.training.calls import TrainingCall
from graphdl.training.optimizers.optimizer import ParameterOptimizer

if TYPE_CHECKING:
    from graphdl.operators.tensor import Tensor


@dataclass(frozen=True)
class Lion(ParameterOptimizer):
    """Lion (Chen et al., 2023): algorithm 2 of the paper."""

    lr: float
    beta1: float
    beta2: float
    weight_decay: float

    @property
    def slots(self) -> tuple[str, ...]:
        return ("mean",)

    def scalars(self, step: int, rate: float) -> list[float]:
        return [rate]

    def follow(
        self, parameter: Tensor, gradient: Tensor, slots: Mapping[str, Tensor], scalars: Sequence[Tensor]
    ) -> tuple[Tensor, Mapping[str, Tensor]]:
        direction = apply("sign", slots["mean"] * self.beta1 + gradient * (1 - self.beta1))
        if self.weight_decay:
            direction = direction + parameter * self.weight_decay
        mean = slots["mean"] * self.beta2 + gradient * (1 - self.beta2)
        return parameter - direction * scalars[0], {"mean": mean}


def lion(
    call: TrainingCall, lr: float = 0.0001, beta1: float = 0.9, beta2: float = 0.99, weight_decay: float = 0.0
) -> Lion:
    """Lion (Chen et al., 2023): steps of one size, in the direction of the sign of a mean of gradients. Weight decay is
    applied to the weights directly.
    """
    call.in_range("lr", lr, low=0, high=None)
    call.in_range("beta1", beta1, low=0, high=1)
    call.in_range("beta2", beta2, low=0, high=1)
    call.in_range("weight_decay", weight_decay, low=0, high=None)
    return Lion(lr, beta1, beta2, weight_decay)


MAKERS = (lion,)
