"""The trainer: one update of a stage at a time, whole or in two halves."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from math import inf
from typing import Any

import numpy as np

from graphdl.compiler.lowering import Lowered
from graphdl.compiler.program import Program
from graphdl.data.dataset import Sizes
from graphdl.data.feed import as_feed
from graphdl.graph.types import TensorType
from graphdl.operators.random import SEED
from graphdl.operators.tensor import Tensor, feed
from graphdl.runtime import Executor, Pending
from graphdl.runtime.profiler import Timeline, timeline
from graphdl.source import Span
from graphdl.training.network import Network
from graphdl.training.program import (
    GRADIENT,
    REPORT,
    SCALARS,
    StepTensors,
    average_of,
    clock_arrays,
    first_report,
    gradient_tensors,
    seed_array,
    step_tensors,
    update_tensors,
)
from graphdl.training.reports import MOST_PENDING, Queue, Report
from graphdl.training.scaling import KNOWN, WINDOW, Scaling
from graphdl.training.stages import Stage


class Gradients:
    """The result of the first half of a step for a batch. It may not have arrived from the device yet."""

    def __init__(self, report: Report, pending: Mapping[str, Pending]) -> None:
        self.report = report
        self._pending = pending

    @cached_property
    def arrays(self) -> dict[str, np.ndarray]:
        """The gradients, as means over the batch, by parameter path. Waits for them."""
        return {path: pending.result() for path, pending in self._pending.items()}


class BaseTrainer(ABC):
    """Training one batch at a time: what the trainer of a stage and that of its turns have in common.

    ``steps`` counts the updates of the stage. ``draws`` counts the batches of the whole run; random draws (dropout)
    depend on it. ``reports`` are those of the submitted steps. The caller of ``submit`` removes them.
    """

    def __init__(self, network: Network, stage: Stage, reports: Queue[Report]) -> None:
        self.network = network
        self.stage = stage
        self.reports = reports
        self.steps = 0
        self.draws = 0

    @property
    @abstractmethod
    def inputs(self) -> dict[str, TensorType]:
        """The inputs of a step: those that the losses, the metrics or the states need."""

    @abstractmethod
    def rate_of(self, step: int) -> float:
        """The learning rate of a step of the stage, from 0."""

    @abstractmethod
    def submit(self, arrays: Mapping[str, np.ndarray], sizes: Sizes = ()) -> Report:
        """``step`` for arrays that are known to fit the net with ``sizes``. The caller removes the reports from
        ``reports``.
        """

    @cached_property
    def spans(self) -> dict[str, Span]:
        """The declarations of the inputs."""
        return {name: value.node.span for name, value in self.network.training.inputs.items()}

    @property
    def rate(self) -> float:
        """The learning rate of the next step."""
        return self.rate_of(self.steps)

    def step(self, **arrays: Any) -> Report:
        """One update from a batch of any size: ``step(image=x, label=y)``. Each new size is compiled. In a stage with
        turns, it is an update of the turn whose step it is.

        Returns the loss of the batch before the update, which is usable as a number. Reading it waits for the device.

        Raises:
            ModelError: E0713 to E0717, the arrays do not fit the net's inputs.
        """
        report = self.submit(self._fed(arrays))
        for earlier in self.reports.ready():
            _ = earlier.values
        return report

    def _fed(self, arrays: Mapping[str, Any]) -> dict[str, np.ndarray]:
        known = self.network.training.inputs
        needed = {name: value for name, value in arrays.items() if name in self.inputs or name not in known}
        return as_feed(self.inputs, needed, spans=self.spans)


class Trainer(BaseTrainer):
    """Trains a net by the settings of one stage, one batch at a time.

    The optimizer's variables have their initial values when the trainer is made. A schedule that counts in epochs needs
    ``steps_per_epoch``; without it, every step belongs to the first epoch. ``memory`` is the limit in bytes for each of
    the programs: see ``graphdl.compiler.build``.
    """

    def __init__(self, network: Network, stage: Stage, *, memory: int | None = None) -> None:
        """Compiles the program of a step.

        Raises:
            ModelError: the stage has no loss to minimize.
            DeviceError: there is no device, it has too little memory, the program needs more than ``memory`` bytes, or
                the device does not have the stage's precision (E0804).
        """
        super().__init__(network, stage, Queue())
        self.memory = memory
        self.steps_per_epoch: int | None = None
        self._recipe = (
            stage.name, stage.optimizer, stage.minimize, stage.parameters, *stage.rate.values(), stage.clip,
            *stage.max_norm.items(), stage.average, stage.precision, memory,
        )  # fmt: skip
        """What the programs depend on."""
        self._keys: set[Hashable] = set()
        lowered = network.lower(True, stage.batch)
        tensors = step_tensors(lowered, stage)
        scaling = Scaling.of(stage)
        self._scaling = scaling if scaling is not None and scaling.name("scale") in tensors.kept else None
        self._known: int | None = None
        """The number of skipped steps that the host knows of; None if it has to ask the device."""
        self._unread: deque[Report] = deque()
        """The reports of the last steps, which the host need not have read, if the loss is scaled."""
        self.program = self._whole(stage.batch, (lowered, tensors)).program
        """The program of a step with the stage's batch size."""
        self.kept = tuple(tensors.kept)
        """The names of the optimizer's variables."""
        network.add_kept(tensors.kept)
        averages = {path: average_of(stage, path) for path in stage.parameters}
        self.averages = {path: name for path, name in averages.items() if name in tensors.kept}
        """The variable with the moving average, by path of the parameters that have one."""

    @cached_property
    def inputs(self) -> dict[str, TensorType]:
        types = {name: value.type for name, value in self.network.training.inputs.items()}
        return {name: types[name] for name in types if name in self.program.feeds}

    def rate_of(self, step: int) -> float:
        schedule = self.stage.schedule
        if self.steps_per_epoch is not None:
            return schedule.rate(step, self.steps_per_epoch, self.stage.total_steps(self.steps_per_epoch))
        if schedule.in_steps:
            return schedule.rate(step, 1, inf if self.stage.steps is None else self.stage.steps)
        return schedule.start

    def go_on_from(self, steps: int, draws: int) -> None:
        """Continues with other values of ``steps`` and ``draws``, and of the variables."""
        self.steps, self.draws = steps, draws
        self._known = None
        self._unread.clear()

    def submit(self, arrays: Mapping[str, np.ndarray], sizes: Sizes = ()) -> Report:
        report = self._run(self._whole(self._count(arrays), sizes=sizes), arrays)
        self.reports.add(report)
        if self._scaling is not None:
            self._unread.append(report)
        self.steps += 1
        return report

    def gradients(self, **arrays: Any) -> Gradients:
        """The first half of a step: the gradients of a batch. ``update`` is the second half.

        In between, the gradients can be summed over batches or over devices: ``update`` needs the mean over all
        examples. The states (a batchnorm's mean) are updated; the parameters stay unchanged.

        Raises:
            ModelError: E0713 to E0717, the arrays do not fit the net's inputs.
        """
        fed = self._fed(arrays)
        executor = self._first_half(self._count(fed))
        report = self._run(executor, fed)
        names = [name for name in executor.program.fetches if name != REPORT]
        return Gradients(report, {name.removeprefix(GRADIENT): executor.fetch_later(name) for name in names})

    def update(self, gradients: Mapping[str, np.ndarray]) -> None:
        """The second half of a step: clipping and the optimizer's update, from gradients by parameter path.

        Raises:
            ValueError: a gradient is missing, of no trained parameter, or of the wrong shape.
        """
        executor = self._second_half()
        self._known = None
        feeds = {GRADIENT + path: np.asarray(array, np.float32) for path, array in gradients.items()}
        executor.run(feeds | self._scalars(executor))
        self.steps += 1

    def timeline(self, count: int, **arrays: Any) -> Timeline:
        """``count`` updates from one batch, each launch timed.

        Raises:
            ModelError: E0713 to E0717, the arrays do not fit the net's inputs.
        """
        fed = self._fed(arrays)
        executor = self._whole(self._count(fed))

        def feeds() -> Mapping[str, Any]:
            found = self._feeds(executor, fed)
            self.draws += 1
            self.steps += 1
            return found

        return timeline(executor, feeds, count)

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Gives the parameters the values of their moving averages within the context."""
        before = {path: self.network.read(path) for path in self.averages}
        self.adopt_averages()
        try:
            yield
        finally:
            for path, value in before.items():
                self.network.write(path, value)

    def adopt_averages(self) -> None:
        """Gives the parameters the values of their moving averages, as at the end of a stage."""
        for path, name in self.averages.items():
            self.network.write(path, self.network.read(name))

    def release(self) -> None:
        """Frees the device memory of the stage's programs and of the optimizer's variables."""
        self.network.discard(self._keys)
        self.network.forget(self.kept)

    # ------------------------------------------------------------------------------------------------------- programs

    def _whole(self, batch: int, known: tuple[Lowered, StepTensors] | None = None, sizes: Sizes = ()) -> Executor:
        def program() -> Program:
            lowered = known[0] if known is not None else self.network.lower(True, batch, sizes)
            made = known[1] if known is not None else step_tensors(lowered, self.stage)
            return self._compiled(lowered, {REPORT: made.report}, made.updates)

        return self._executor(("step", batch, sizes), program)

    def _first_half(self, batch: int) -> Executor:
        def program() -> Program:
            lowered = self._lowered(batch)
            made = gradient_tensors(lowered, self.stage)
            fetches = {GRADIENT + path: gradient for path, gradient in made.gradients.items()}
            report = first_report(made, self.stage)
            return self._compiled(lowered, {REPORT: report, **fetches}, made.updates)

        return self._executor(("gradients", batch), program)

    def _second_half(self) -> Executor:
        def program() -> Program:
            lowered = self._lowered(self.stage.batch)
            reached = gradient_tensors(lowered, self.stage).gradients
            fed = {path: feed(GRADIENT + path, gradient.shape) for path, gradient in reached.items()}
            updates = update_tensors(lowered.parameters, fed, self.stage).updates
            return self._compiled(lowered, {}, updates)

        return self._executor(("update",), program)

    def _lowered(self, batch: int) -> Lowered:
        return self.network.lower(True, batch)

    def _compiled(self, lowered: Lowered, fetches: Mapping[str, Tensor], updates: Mapping[str, Tensor]) -> Program:
        stores = self.network.stores(self.stage.precision, lowered.losses.values())
        return self.network.compiled(fetches, updates, self.memory, stores)

    def _executor(self, kind: tuple[Hashable, ...], program: Callable[[], Program]) -> Executor:
        key = (*kind, self._recipe)
        self._keys.add(key)
        return self.network.executor(key, program)

    def _run(self, executor: Executor, arrays: Mapping[str, np.ndarray]) -> Report:
        """Runs a program that takes a batch and returns a report."""
        fetched = executor.run_and_fetch(self._feeds(executor, arrays), (REPORT,))
        self.draws += 1
        graph = self.network.training
        scaled = self._scaling is not None
        return Report(self.steps, fetched[REPORT], tuple(graph.losses), tuple(graph.metrics), scaled)

    def _feeds(self, executor: Executor, arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
        """The feeds of the next step for a batch."""
        feeds: dict[str, Any] = {**arrays, **self._scalars(executor)}
        if SEED in executor.program.feeds:
            feeds[SEED] = seed_array(self.stage.seed, self.draws)
        return {**feeds, **clock_arrays(executor.program.feeds, self.steps, self.steps_per_epoch)}

    def _scalars(self, executor: Executor) -> dict[str, np.ndarray]:
        if SCALARS not in executor.program.feeds:
            return {}
        scalars, updates, rate = self.stage.scalars, self.stage.updates_before(self.steps), self.rate
        if self._scaling is None:
            return {SCALARS: np.array(scalars(updates, rate), np.float32)}
        known = self._skipped(self._scaling)
        rows = [scalars(max(updates - known - unknown, 0), rate) for unknown in range(WINDOW)]
        return {SCALARS: np.array(rows, np.float32), KNOWN: np.array(known, np.float32)}

    def _skipped(self, scaling: Scaling) -> int:
        """A number of skipped steps, of which at most those of the last ``MOST_PENDING`` steps are missing."""
        if self._known is None:
            self._known = int(self.network.read(scaling.name("skipped")))
            self._unread.clear()
        while len(self._unread) > MOST_PENDING:
            self._known = self._unread.popleft().skipped
        return self._known

    def _count(self, arrays: Mapping[str, np.ndarray]) -> int:
        return len(next(iter(arrays.values()))) if arrays else self.stage.batch
