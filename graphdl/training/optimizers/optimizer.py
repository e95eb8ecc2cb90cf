"""What the program of a step asks of an optimizer.

An optimizer is built of operators: its update is part of the program of the step. What it keeps from step to step are
named variables, which it declares with their shapes and initial values. ``training.program`` makes them, checkpoints
hold them, and a stage that ends gives their memory back; none of these knows an optimizer by name.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from graphdl.graph.types import Shape

if TYPE_CHECKING:
    from graphdl.operators.tensor import Tensor


@dataclass(frozen=True)
class Kept:
    """A float variable that an optimizer keeps from step to step."""

    shape: Shape
    initial: float | str = 0.0
    """One number for all elements, or the path of the parameter whose value it starts from."""


class Optimizer(ABC):
    """How parameters follow their gradients, all of them at once.

    Parameters go by their paths. The name of a variable has two parts around a colon: the path of the parameter that
    it belongs to, empty where it belongs to none, and a word (``conv1.W:momentum``, ``:count``).
    """

    lr: float
    """The learning rate, before any schedule."""

    @abstractmethod
    def variables(self, parameters: Mapping[str, Shape]) -> Mapping[str, Kept]:
        """What the optimizer keeps for parameters of these shapes."""

    @abstractmethod
    def scalars(self, step: int, rate: float) -> list[float]:
        """The numbers that the step with this number (from 0) needs beside the gradients, in double precision."""

    @abstractmethod
    def update(
        self,
        parameters: Mapping[str, Tensor],
        gradients: Mapping[str, Tensor],
        kept: Mapping[str, Tensor],
        scalars: Sequence[Tensor],
    ) -> Mapping[str, Tensor]:
        """The next values of the parameters and of the variables, by path and by name; what is missing stays as it is.
        ``scalars`` are those of ``Optimizer.scalars``, of shape []."""


class ParameterOptimizer(Optimizer):
    """An optimizer that treats every parameter by itself, with variables of the parameter's shape."""

    @property
    @abstractmethod
    def slots(self) -> tuple[str, ...]:
        """The words of the variables of one parameter, zeros at first."""

    @abstractmethod
    def follow(
        self, parameter: Tensor, gradient: Tensor, slots: Mapping[str, Tensor], scalars: Sequence[Tensor]
    ) -> tuple[Tensor, Mapping[str, Tensor]]:
        """The next values of one parameter and of its slots."""

    def variables(self, parameters: Mapping[str, Shape]) -> Mapping[str, Kept]:
        return {f"{path}:{slot}": Kept(shape) for path, shape in parameters.items() for slot in self.slots}

    def update(
        self,
        parameters: Mapping[str, Tensor],
        gradients: Mapping[str, Tensor],
        kept: Mapping[str, Tensor],
        scalars: Sequence[Tensor],
    ) -> Mapping[str, Tensor]:
        following: dict[str, Tensor] = {}
        for path, parameter in parameters.items():
            slots = {slot: kept[f"{path}:{slot}"] for slot in self.slots}
            following[path], changed = self.follow(parameter, gradients[path], slots, scalars)
            following |= {f"{path}:{slot}": tensor for slot, tensor in changed.items()}
        return following
