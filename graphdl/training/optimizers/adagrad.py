"""Adagrad."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from graphdl.graph.types import Shape
from graphdl.training.calls import TrainingCall
from graphdl.training.optimizers.optimizer import Kept, ParameterOptimizer

if TYPE_CHECKING:
    from graphdl.operators.tensor import Tensor


@dataclass(frozen=True)
class Adagrad(ParameterOptimizer):
    """Adagrad (Duchi et al., 2011), as in ``torch.optim.Adagrad``."""

    lr: float
    lr_decay: float
    eps: float
    weight_decay: float
    initial: float

    @property
    def slots(self) -> tuple[str, ...]:
        return ("sum",)

    def variables(self, parameters: Mapping[str, Shape]) -> Mapping[str, Kept]:
        return {f"{path}:sum": Kept(shape, self.initial) for path, shape in parameters.items()}

    def scalars(self, step: int, rate: float) -> list[float]:
        return [rate / (1 + step * self.lr_decay)]

    def follow(
        self, parameter: Tensor, gradient: Tensor, slots: Mapping[str, Tensor], scalars: Sequence[Tensor]
    ) -> tuple[Tensor, Mapping[str, Tensor]]:
        if self.weight_decay:
            gradient = gradient + parameter * self.weight_decay
        total = slots["sum"] + gradient * gradient
        return parameter - gradient / (total**0.5 + self.eps) * scalars[0], {"sum": total}


def adagrad(
    call: TrainingCall,
    lr: float = 0.01,
    lr_decay: float = 0.0,
    eps: float = 1e-10,
    weight_decay: float = 0.0,
    initial: float = 0.0,
) -> Adagrad:
    """Adagrad (Duchi et al., 2011): gradients divided by the root of the sum of all their squares, which starts as
    ``initial``. The learning rate is divided by 1 + ``lr_decay`` × step.
    """
    call.in_range("lr", lr, low=0, high=None)
    call.in_range("lr_decay", lr_decay, low=0, high=None)
    call.in_range("eps", eps, low=0, high=None, open_low=True)
    call.in_range("weight_decay", weight_decay, low=0, high=None)
    call.in_range("initial", initial, low=0, high=None)
    return Adagrad(lr, lr_decay, eps, weight_decay, initial)


MAKERS = (adagrad,)
