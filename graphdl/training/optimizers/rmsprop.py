"""RMSProp."""

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
class RMSProp(ParameterOptimizer):
    """RMSProp (Tieleman and Hinton, 2012), or with ``centered`` its centered version (Graves, 2013), as in
    ``torch.optim.RMSprop``.
    """

    lr: float
    alpha: float
    eps: float
    weight_decay: float
    momentum: float
    centered: bool

    @property
    def slots(self) -> tuple[str, ...]:
        return ("square", *(("mean",) if self.centered else ()), *(("momentum",) if self.momentum else ()))

    def scalars(self, step: int, rate: float) -> list[float]:
        return [rate]

    def follow(
        self, parameter: Tensor, gradient: Tensor, slots: Mapping[str, Tensor], scalars: Sequence[Tensor]
    ) -> tuple[Tensor, Mapping[str, Tensor]]:
        (rate,) = scalars
        if self.weight_decay:
            gradient = gradient + parameter * self.weight_decay
        changed = {"square": slots["square"] * self.alpha + gradient * gradient * (1 - self.alpha)}
        variance = changed["square"]
        if self.centered:
            changed["mean"] = slots["mean"] + (gradient - slots["mean"]) * (1 - self.alpha)
            # Rounding may make the difference negative; PyTorch's square root is NaN then.
            variance = apply("maximum", variance - changed["mean"] * changed["mean"], 0.0)
        direction = gradient / (variance**0.5 + self.eps)
        if self.momentum:
            direction = changed["momentum"] = slots["momentum"] * self.momentum + direction
        return parameter - direction * rate, changed


def rmsprop(
    call: TrainingCall,
    lr: float = 0.01,
    alpha: float = 0.99,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    momentum: float = 0.0,
    centered: bool = False,
) -> RMSProp:
    """RMSProp (Tieleman and Hinton, 2012): gradients divided by their recent root mean square, or with ``centered =
    true`` by their recent standard deviation (Graves, 2013). Momentum accumulates the steps.
    """
    call.in_range("lr", lr, low=0, high=None)
    call.in_range("alpha", alpha, low=0, high=1)
    call.in_range("eps", eps, low=0, high=None, open_low=True)
    call.in_range("weight_decay", weight_decay, low=0, high=None)
    call.in_range("momentum", momentum, low=0, high=1)
    return RMSProp(lr, alpha, eps, weight_decay, momentum, centered)


MAKERS = (rmsprop,)
