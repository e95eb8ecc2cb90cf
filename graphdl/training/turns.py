"""Stages whose turns alternate: each turn is a trainer of its own, with an optimizer of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np

from graphdl.data.dataset import Sizes
from graphdl.data.feed import as_feed
from graphdl.graph.types import TensorType
from graphdl.source import Span
from graphdl.training.network import Network
from graphdl.training.reports import Report
from graphdl.training.stages import Stage
from graphdl.training.trainer import Trainer, start


class Turns:
    """Trains a net by the turns of a stage, one batch at a time. It is used like a ``Trainer``.

    ``steps`` counts the steps of the stage. It alone determines whose turn it is, so a stage can go on at any step.
    """

    def __init__(
        self,
        network: Network,
        stage: Stage,
        *,
        steps_per_epoch: int | None = None,
        memory: int | None = None,
        begins: bool = False,
    ) -> None:
        """Compiles the program of a step of each turn. See ``Trainer``."""
        if begins:
            start(network, stage)
        self.network = network
        self.stage = stage
        self.trainers = [Trainer(network, turn, memory=memory) for turn in stage.turns]
        self.steps = 0
        self.draws = 0
        self.reports = self.trainers[0].reports
        """The reports of the submitted steps of all turns."""
        for trainer in self.trainers:
            trainer.reports = self.reports
        self.steps_per_epoch = steps_per_epoch
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
        """The inputs of a step of any turn."""
        return {name: each for trainer in self.trainers for name, each in trainer.inputs.items()}

    @property
    def spans(self) -> dict[str, Span]:
        """The declarations of the inputs."""
        return self.trainers[0].spans

    @property
    def turn(self) -> Stage:
        """The turn of the next step."""
        return self.stage.turns[self.stage.turn_of(self.steps)]

    @property
    def rate(self) -> float:
        """The learning rate of the next step."""
        return self.rate_of(self.steps)

    def rate_of(self, step: int) -> float:
        """The learning rate of a step of the stage, from 0."""
        return self.trainers[self.stage.turn_of(step)].rate_of(step)

    def go_on_from(self, steps: int, draws: int) -> None:
        """Continues with other values of ``steps`` and ``draws``, and of the variables."""
        self.steps, self.draws = steps, draws
        for trainer in self.trainers:
            trainer.go_on_from(steps, draws)

    def step(self, **arrays: Any) -> Report:
        """One update of the turn whose step it is, from a batch of any size: see ``Trainer.step``.

        Raises:
            ModelError: E0713 to E0717, the arrays do not fit the net's inputs.
        """
        known = self.network.training.inputs
        needed = {name: value for name, value in arrays.items() if name in self.inputs or name not in known}
        report = self.submit(as_feed(self.inputs, needed, spans=self.spans))
        for earlier in self.reports.ready():
            _ = earlier.values
        return report

    def submit(self, arrays: Mapping[str, np.ndarray], sizes: Sizes = ()) -> Report:
        """``step`` for arrays that are known to fit; see ``Trainer.submit``."""
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
    """The trainer of a stage, with or without turns."""
    made = Turns if stage.turns else Trainer
    return made(network, stage, steps_per_epoch=steps_per_epoch, memory=memory, begins=begins)
