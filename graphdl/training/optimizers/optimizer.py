"""The interface of an optimizer to the program of a step.

An optimizer is built of operators: its update is part of the program of the step. It declares the variables that it
keeps between steps, with names, shapes and initial values. ``training.program`` creates them, checkpoints contain them,
and the end of a stage frees them. None of these depends on a particular optimizer.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from graphdl.graph.types import Shape
from graphdl.operators.tensor import adopt

if TYPE_CHECKING:
    from graphdl.operators.tensor import Tensor


@dataclass(frozen=True)
class Kept:
    """A float variable that an optimizer keeps between steps."""

    shape: Shape
    initial: float | str = 0.0
    """One number for all elements, or the path of the parameter with the initial value."""


class Optimizer(ABC):
    """An update rule for all parameters at once.

    Parameters are identified by their paths. The name of a variable has two parts around a colon: the path of its
    parameter, which is empty for a variable without one, and a word (``conv1.W:momentum``, ``:count``).
    """

    lr: float
    """The learning rate before the schedule is applied."""

    @abstractmethod
    def variables(self, parameters: Mapping[str, Shape]) -> Mapping[str, Kept]:
        """The variables that the optimizer keeps for parameters of these shapes, by name."""

    @abstractmethod
    def scalars(self, step: int, rate: float) -> list[float]:
        """The numbers that step ``step`` (from 0) needs in addition to the gradients, computed in double precision."""

    @abstractmethod
    def update(
        self,
        parameters: Mapping[str, Tensor],
        gradients: Mapping[str, Tensor],
        kept: Mapping[str, Tensor],
        scalars: Sequence[Tensor],
    ) -> Mapping[str, Tensor]:
        """The next values of the parameters, by path, and of the variables, by name. Missing ones stay unchanged.

        ``scalars`` are those of ``Optimizer.scalars``, of shape [].
        """


class ParameterOptimizer(Optimizer):
    """An optimizer that treats every parameter separately, with variables of the parameter's shape."""

    @property
    @abstractmethod
    def slots(self) -> tuple[str, ...]:
        """The words of the variables of one parameter. They start as zeros."""

    @abstractmethod
    def follow(
        self, parameter: Tensor, gradient: Tensor, slots: Mapping[str, Tensor], scalars: Sequence[Tensor]
    ) -> tuple[Tensor, Mapping[str, Tensor]]:
        """The next values of one parameter and of its slots. The tensors that this makes get the parameter's node as
        their origin.
        """

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
            given = (parameter, gradients[path], *slots.values(), *scalars)
            adopt((following[path], *changed.values()), given, parameter.origin)
        return following
