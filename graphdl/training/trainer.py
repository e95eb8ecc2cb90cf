"""The trainer: one update of a stage at a time."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from math import inf
from typing import Any

import numpy as np

from graphdl.compiler.build import build
from graphdl.compiler.program import Program
from graphdl.data.feed import as_feed
from graphdl.graph.types import TensorType
from graphdl.operators.random import SEED
from graphdl.runtime import Executor
from graphdl.source import Span
from graphdl.training.network import Network
from graphdl.training.program import REPORT, SCALARS, seed_array, step_tensors
from graphdl.training.reports import Report, Reports
from graphdl.training.stages import Stage


class Trainer:
    """Trains a net by one stage's settings, a batch at a time, with the optimizer's slots at zero when it is made.

    ``steps_per_epoch`` lets a schedule that counts in epochs move on; where nobody says it, every step belongs to
    the first epoch. ``steps`` counts the stage's steps; ``draws`` those of the whole run, which random draws (dropout)
    depend on.
    """

    def __init__(self, network: Network, stage: Stage, *, steps_per_epoch: int | None = None) -> None:
        """
        Raises:
            ModelError: the stage has no loss to minimize.
            DeviceError: no device, or not enough of it.
        """
        self.network = network
        self.stage = stage
        self.steps_per_epoch = steps_per_epoch
        self.steps = 0
        self.draws = 0
        self._reports = Reports()
        self._executors: dict[int, Executor] = {}
        self.slots: tuple[str, ...] = ()
        """The names of the optimizer's variables."""
        self._executor(stage.batch)

    @property
    def program(self) -> Program:
        """The program of a step with the stage's batch."""
        return self._executors[self.stage.batch].program

    @cached_property
    def inputs(self) -> dict[str, TensorType]:
        """What a step is fed: the inputs that the losses, the metrics or the states need."""
        types = {name: value.type for name, value in self.network.training.inputs.items()}
        return {name: types[name] for name in types if name in self.program.feeds}

    @cached_property
    def spans(self) -> dict[str, Span]:
        """Where the inputs are declared."""
        return {name: value.node.span for name, value in self.network.training.inputs.items()}

    @property
    def rate(self) -> float:
        """The learning rate of the next step."""
        return self.rate_of(self.steps)

    def rate_of(self, step: int) -> float:
        """The learning rate of a step of the stage, from 0."""
        schedule = self.stage.schedule
        if self.steps_per_epoch is not None:
            return schedule.rate(step, self.steps_per_epoch, self.stage.total_steps(self.steps_per_epoch))
        if schedule.in_steps:
            return schedule.rate(step, 1, inf if self.stage.steps is None else self.stage.steps)
        return schedule.start

    def step(self, **arrays: Any) -> Report:
        """One update from a batch of any size (each new size is compiled once): ``step(image=x, label=y)``.

        Returns the batch's loss, from before the update, as something to use like a number; it is waited for when it
        is looked at.

        Raises:
            ModelError: E0713 to E0717, the arrays do not fit the net's inputs.
        """
        known = self.network.training.inputs
        needed = {name: value for name, value in arrays.items() if name in self.inputs or name not in known}
        return self.submit(as_feed(self.inputs, needed, spans=self.spans))

    def submit(self, arrays: Mapping[str, np.ndarray]) -> Report:
        """``step`` for arrays that are known to fit."""
        executor = self._executor(len(next(iter(arrays.values()))) if arrays else self.stage.batch)
        optimizer = self.stage.optimizer
        feeds: dict[str, Any] = dict(arrays)
        if SCALARS in executor.program.feeds:
            feeds[SCALARS] = np.array(optimizer.scalars(self.steps, self.rate), np.float32)
        if SEED in executor.program.feeds:
            feeds[SEED] = seed_array(self.stage.seed, self.draws)
        executor.run(feeds)
        graph = self.network.training
        report = Report(self.steps, executor.fetch_later(REPORT), tuple(graph.losses), tuple(graph.metrics))
        self.steps += 1
        self.draws += 1
        for _ in self._reports.add(report):
            pass
        return report

    def _executor(self, batch: int) -> Executor:
        if batch not in self._executors:
            network = self.network
            tensors = step_tensors(network.lower(True, batch), self.stage)
            program = build({REPORT: tensors.report}, tensors.updates, network.device.target)
            executor = network.load(program)
            if not self._executors:
                self.slots = tuple(tensors.slots)
                network.add_slots(tensors.slots)
            self._executors[batch] = executor
        return self._executors[batch]
