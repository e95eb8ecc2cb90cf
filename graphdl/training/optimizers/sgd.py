"""Stochastic gradient descent: plain, with momentum, and with look-ahead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from graphdl.graph.types import Shape
from graphdl.operators.elementwise import apply
from graphdl.training.calls import TrainingCall
from graphdl.training.optimizers.optimizer import Kept, ParameterOptimizer

if TYPE_CHECKING:
    from graphdl.operators.tensor import Tensor


@dataclass(frozen=True)
class SGD(ParameterOptimizer):
    """Stochastic gradient descent, with Polyak's (1964) or Nesterov's (1983) momentum in the form of Sutskever et al.
    (2013).

    It equals ``torch.optim.SGD`` with a dampening of 0. With ``lookahead`` k > 0 (Zhang et al., 2019), slow weights
    move by the share ``slow`` towards the weights after every k steps, and the weights go on from there.
    """

    lr: float
    momentum: float
    nesterov: bool
    weight_decay: float
    lookahead: int
    slow: float

    @property
    def slots(self) -> tuple[str, ...]:
        return (*(("momentum",) if self.momentum else ()), *(("slow",) if self.lookahead else ()))

    def variables(self, parameters: Mapping[str, Shape]) -> Mapping[str, Kept]:
        kept = dict(super().variables(parameters))
        if self.lookahead:
            kept |= {f"{path}:slow": Kept(shape, path) for path, shape in parameters.items()}
        return kept

    def scalars(self, step: int, rate: float) -> list[float]:
        if not self.lookahead:
            return [rate]
        return [rate, float((step + 1) % self.lookahead == 0)]

    def follow(
        self, parameter: Tensor, gradient: Tensor, slots: Mapping[str, Tensor], scalars: Sequence[Tensor]
    ) -> tuple[Tensor, Mapping[str, Tensor]]:
        if self.weight_decay:
            gradient = gradient + parameter * self.weight_decay
        changed: dict[str, Tensor] = {}
        if self.momentum:
            velocity = changed["momentum"] = slots["momentum"] * self.momentum + gradient
            gradient = gradient + velocity * self.momentum if self.nesterov else velocity
        parameter = parameter - gradient * scalars[0]
        if self.lookahead:
            meets = apply("greater", scalars[1], 0.0)
            slow = slots["slow"] + (parameter - slots["slow"]) * self.slow
            changed["slow"] = apply("where", meets, slow, slots["slow"])
            parameter = apply("where", meets, slow, parameter)
        return parameter, changed


def sgd(
    call: TrainingCall,
    lr: float = 0.01,
    momentum: float = 0.0,
    nesterov: bool = False,
    weight_decay: float = 0.0,
    lookahead: int = 0,
    slow: float = 0.5,
) -> SGD:
    """Stochastic gradient descent; momentum is Polyak's (1964), or Nesterov's (1983) with ``nesterov = true``. With
    ``lookahead`` = k (Zhang et al., 2019), slow weights move by the share ``slow`` towards the weights after every k
    steps, and the weights go on from there.
    """
    call.in_range("lr", lr, low=0, high=None)
    call.in_range("momentum", momentum, low=0, high=1)
    call.in_range("weight_decay", weight_decay, low=0, high=None)
    call.in_range("lookahead", lookahead, low=0, high=None)
    call.in_range("slow", slow, low=0, high=1, open_low=True)
    if nesterov and not momentum:
        raise call.error("E0613", "'nesterov' of 'sgd' needs a momentum", argument="nesterov", help="momentum = 0.9")
    return SGD(lr, momentum, nesterov, weight_decay, lookahead, slow)


MAKERS = (sgd,)
