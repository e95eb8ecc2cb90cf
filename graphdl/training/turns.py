"""Stages whose turns alternate: each turn is a trainer of its own, with an optimizer of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager

import numpy as np

from graphdl.data.dataset import Sizes
from graphdl.graph.types import TensorType
from graphdl.training.network import Network
from graphdl.training.reports import Report
from graphdl.training.stages import Stage
from graphdl.training.trainer import BaseTrainer, Trainer


class Turns(BaseTrainer):
    """Trains a net by the turns of a stage, one batch at a time.

    ``steps`` alone determines whose turn it is, so a stage can go on at any step.
    """

    def __init__(self, network: Network, stage: Stage, *, memory: int | None = None) -> None:
        """Compiles the program of a step of each turn. See ``Trainer``."""
        self.trainers = [Trainer(network, turn, memory=memory) for turn in stage.turns]
        super().__init__(network, stage, self.trainers[0].reports)
        for trainer in self.trainers:
            trainer.reports = self.reports
        self.kept = tuple(name for trainer in self.trainers for name in trainer.kept)
        """The names of the variables of all optimizers."""
        self.averages = {path: name for trainer in self.trainers for path, name in trainer.averages.items()}

    @property
    def steps_per_epoch(self) -> int | None:
        return self.trainers[0].steps_per_epoch

    @steps_per_epoch.setter
    def steps_per_epoch(self, steps: int | None) -> None:
        for trainer in self.trainers:
            trainer.steps_per_epoch = steps

    @property
    def inputs(self) -> dict[str, TensorType]:
        return {name: each for trainer in self.trainers for name, each in trainer.inputs.items()}

    @property
    def turn(self) -> Stage:
        """The turn of the next step."""
        return self.stage.turns[self.stage.turn_of(self.steps)]

    def rate_of(self, step: int) -> float:
        return self.trainers[self.stage.turn_of(step)].rate_of(step)

    def go_on_from(self, steps: int, draws: int) -> None:
        """Continues with other values of ``steps`` and ``draws``, and of the variables."""
        self.steps, self.draws = steps, draws
        for trainer in self.trainers:
            trainer.go_on_from(steps, draws)

    def submit(self, arrays: Mapping[str, np.ndarray], sizes: Sizes = ()) -> Report:
        trainer = self.trainers[self.stage.turn_of(self.steps)]
        trainer.steps, trainer.draws = self.steps, self.draws
        report = trainer.submit({name: array for name, array in arrays.items() if name in trainer.inputs}, sizes)
        self.steps, self.draws = trainer.steps, trainer.draws
        return report

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Gives the parameters the values of their moving averages within the context."""
        with ExitStack() as stack:
            for trainer in self.trainers:
                stack.enter_context(trainer.averaged())
            yield

    def adopt_averages(self) -> None:
        """Gives the parameters the values of their moving averages, as at the end of a stage."""
        for trainer in self.trainers:
            trainer.adopt_averages()

    def release(self) -> None:
        """Frees the device memory of the stage's programs and of the optimizers' variables."""
        for trainer in self.trainers:
            trainer.release()


def trainer_of(
    network: Network,
    stage: Stage,
    *,
    steps_per_epoch: int | None = None,
    memory: int | None = None,
    begins: bool = False,
) -> Trainer | Turns:
    """The trainer of a stage, with or without turns. If the stage ``begins``, its ``start`` settings are carried out.

    The errors are those of ``Trainer``.
    """
    if begins:
        _start(network, stage)
    made = Turns(network, stage, memory=memory) if stage.turns else Trainer(network, stage, memory=memory)
    made.steps_per_epoch = steps_per_epoch
    return made


def _start(network: Network, stage: Stage) -> None:
    """Carries out the ``start`` settings. All values are read before one is written."""
    values = {each: network.read(each.source) for each in stage.start}
    for each, value in values.items():
        network.write(each.target, np.swapaxes(value, -1, -2) if each.transposed else value)
