"""Optimizers: how a parameter follows its gradient. The update is built of operators, in the program of the step.

The formulas are PyTorch's, in its order of operations, so that both can be compared step by step.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING

from graphdl.settings import Call, bind
from graphdl.suggest import did_you_mean

if TYPE_CHECKING:
    from graphdl.graph.model import Setting
    from graphdl.operators.tensor import Tensor


class Optimizer(ABC):
    """An update rule. ``slots`` are the values that it keeps for each parameter, of its shape, zeros at first."""

    lr: float
    slots: tuple[str, ...]

    @abstractmethod
    def scalars(self, step: int, rate: float) -> list[float]:
        """The numbers that the step with this number (from 0) needs beside the gradients, in double precision."""

    @abstractmethod
    def update(
        self, parameter: Tensor, gradient: Tensor, slots: Mapping[str, Tensor], scalars: Sequence[Tensor]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The parameter's and the slots' next values; ``scalars`` are those of ``Optimizer.scalars``, of shape []."""


@dataclass(frozen=True)
class SGD(Optimizer):
    """Stochastic gradient descent, with Polyak's (1964) or Nesterov's (1983) momentum as Sutskever et al. write it.

    ``torch.optim.SGD`` with a dampening of 0.
    """

    lr: float
    momentum: float
    nesterov: bool
    weight_decay: float

    @property
    def slots(self) -> tuple[str, ...]:  # type: ignore[override]
        return ("momentum",) if self.momentum else ()

    def scalars(self, step: int, rate: float) -> list[float]:
        return [rate]

    def update(
        self, parameter: Tensor, gradient: Tensor, slots: Mapping[str, Tensor], scalars: Sequence[Tensor]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        if self.weight_decay:
            gradient = gradient + parameter * self.weight_decay
        if not self.momentum:
            return parameter - gradient * scalars[0], {}
        velocity = slots["momentum"] * self.momentum + gradient
        direction = gradient + velocity * self.momentum if self.nesterov else velocity
        return parameter - direction * scalars[0], {"momentum": velocity}


@dataclass(frozen=True)
class Adam(Optimizer):
    """Adam (Kingma and Ba, 2015); with ``decoupled`` weight decay AdamW (Loshchilov and Hutter, 2019)."""

    lr: float
    beta1: float
    beta2: float
    eps: float
    weight_decay: float
    decoupled: bool

    slots = ("mean", "square")

    def scalars(self, step: int, rate: float) -> list[float]:
        correction1 = 1 - self.beta1 ** (step + 1)
        correction2 = 1 - self.beta2 ** (step + 1)
        return [rate / correction1, 1 / sqrt(correction2), 1 - rate * self.weight_decay]

    def update(
        self, parameter: Tensor, gradient: Tensor, slots: Mapping[str, Tensor], scalars: Sequence[Tensor]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        rate, scale, shrink = scalars
        if self.weight_decay and self.decoupled:
            parameter = parameter * shrink
        elif self.weight_decay:
            gradient = gradient + parameter * self.weight_decay
        mean = slots["mean"] + (gradient - slots["mean"]) * (1 - self.beta1)
        square = slots["square"] * self.beta2 + gradient * gradient * (1 - self.beta2)
        deviation = square**0.5 * scale + self.eps
        return parameter - mean / deviation * rate, {"mean": mean, "square": square}


class TrainingCall(Call):
    """A call in a train section that concerns training itself."""

    argument_code = "E0612"
    value_code = "E0613"

    def in_range(self, argument: str, value: float, *, low: float, high: float | None, open_low: bool = False) -> None:
        """Complains (E0613) unless ``low <= value < high``, or ``low < value`` where ``open_low``."""
        if (value > low if open_low else value >= low) and (high is None or value < high):
            return
        bounds = f"{'above' if open_low else 'at least'} {low:g}" + (f" and below {high:g}" if high is not None else "")
        raise self.error(
            "E0613", f"'{argument}' of '{self.setting.name}' must be {bounds}, found {value:g}", argument=argument
        )


def sgd(
    call: TrainingCall, lr: float = 0.01, momentum: float = 0.0, nesterov: bool = False, weight_decay: float = 0.0
) -> Optimizer:
    """``sgd(lr = 0.01, momentum = 0.9)``."""
    call.in_range("lr", lr, low=0, high=None)
    call.in_range("momentum", momentum, low=0, high=1)
    call.in_range("weight_decay", weight_decay, low=0, high=None)
    if nesterov and not momentum:
        raise call.error("E0613", "'nesterov' of 'sgd' needs a momentum", argument="nesterov", help="momentum = 0.9")
    return SGD(lr, momentum, nesterov, weight_decay)


def adam(
    call: TrainingCall,
    lr: float = 0.001,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
) -> Optimizer:
    """``adam(lr = 0.001)``."""
    return _adam(call, lr, beta1, beta2, eps, weight_decay, decoupled=False)


def adamw(
    call: TrainingCall,
    lr: float = 0.001,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
    weight_decay: float = 0.01,
) -> Optimizer:
    """``adamw(lr = 0.001, weight_decay = 0.01)``."""
    return _adam(call, lr, beta1, beta2, eps, weight_decay, decoupled=True)


def _adam(
    call: TrainingCall, lr: float, beta1: float, beta2: float, eps: float, weight_decay: float, *, decoupled: bool
) -> Optimizer:
    call.in_range("lr", lr, low=0, high=None)
    call.in_range("beta1", beta1, low=0, high=1)
    call.in_range("beta2", beta2, low=0, high=1)
    call.in_range("eps", eps, low=0, high=None, open_low=True)
    call.in_range("weight_decay", weight_decay, low=0, high=None)
    return Adam(lr, beta1, beta2, eps, weight_decay, decoupled)


OPTIMIZERS: Mapping[str, Callable[..., Optimizer]] = {make.__name__: make for make in (sgd, adam, adamw)}
"""From a name after ``optimizer`` to what makes it; the parameters after the first are its arguments."""


def optimizer(setting: Setting) -> Optimizer:
    """The optimizer that a train section names.

    Raises:
        ModelError: E0611 to E0613, it is unknown or its arguments are wrong.
    """
    call = TrainingCall(setting)
    if setting.name not in OPTIMIZERS:
        raise call.error(
            "E0611",
            f"unknown optimizer '{setting.name}'",
            notes=[f"known: {', '.join(OPTIMIZERS)}"],
            help=did_you_mean(setting.name, list(OPTIMIZERS)),
        )
    make = OPTIMIZERS[setting.name]
    return make(call, **bind(call, make))
