"""Training from data: the stages in order, epoch by epoch, measured and saved, and continued to the same numbers."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np

from graphdl.data import augment
from graphdl.data.batches import Batch, Batches
from graphdl.data.dataset import DataSet
from graphdl.data.prefetch import Prefetch
from graphdl.diagnostics import Diagnostic, ModelError
from graphdl.language.expansion.run import visible
from graphdl.training import checkpoint, inference
from graphdl.training.checkpoint import Checkpoint
from graphdl.training.diagnosis import Fault, first_fault
from graphdl.training.inference import Measurement, measure
from graphdl.training.interrupts import Interrupts
from graphdl.training.network import Network
from graphdl.training.reports import Report, Reports
from graphdl.training.run import RunFolder
from graphdl.training.stages import Stage
from graphdl.training.trainer import Trainer

SAVE_SECONDS = 60.0
"""How often, at least, ``last.safetensors`` is written within an epoch."""
RECORD_STEPS = 100
"""Within an epoch a line of metrics is written after every so many steps."""


@dataclass
class Position:
    """How far a run has come: all that continues it, beside the variables. JSON values."""

    stage: int = 0
    epoch: int = 0
    batch: int = 0
    """The next one of the epoch."""
    step: int = 0
    """The next one of the stage."""
    draws: int = 0
    """Steps of the whole run."""
    sums: list[float] = field(default_factory=list)
    """Of the running epoch's reports."""
    summed: int = 0
    """How many reports these are."""
    best: float | None = None
    """The stage's lowest held-out loss."""
    records: int = 0
    """Lines of metrics."""
    seconds: float = 0.0


@dataclass(frozen=True)
class Status:
    """What is shown while a stage runs."""

    stage: Stage
    epoch: int
    """From 1."""
    epochs: int
    batch: int
    """Batches of the epoch that are done."""
    batches: int
    step: int
    total_steps: int
    loss: float
    """The epoch's average so far."""
    metrics: Mapping[str, float]
    examples_per_second: float


class Observer:
    """Hears how a training goes; this one keeps silent."""

    def warn(self, diagnostic: Diagnostic) -> None:
        """What is odd about a stage that begins."""

    def advance(self, status: Status) -> None:
        """After each step whose report has arrived."""

    def record(self, record: Mapping[str, Any]) -> None:
        """A line of metrics: after each epoch, and within one after every ``RECORD_STEPS`` steps."""


class Training:
    """A run of all stages. ``data`` gives the data set of a stage; with a ``folder`` the run is kept there.

    The same settings and seed give the same weights, bit for bit, on one device; so does a run that was interrupted
    or killed at any moment and continued from ``last.safetensors``.
    """

    def __init__(
        self,
        network: Network,
        stages: Sequence[Stage],
        data: Callable[[Stage], DataSet],
        *,
        folder: RunFolder | None = None,
        observer: Observer | None = None,
        save_seconds: float = SAVE_SECONDS,
    ) -> None:
        self.network = network
        self.stages = stages
        self.position = Position()
        self.records: list[dict[str, Any]] = []
        self.steps = 0
        """Those that this process has done."""
        self._data = data
        self._folder = folder
        self._observer = observer or Observer()
        self._save_seconds = save_seconds
        self._restored: Mapping[str, np.ndarray] = {}
        self._sources = folder.sources if folder is not None else ""

    def resume(self) -> None:
        """Goes back to where the folder's ``last.safetensors`` was written; to the start where there is none yet.

        Raises:
            ModelError: the file is damaged (E0616), or belongs to another model (E0617, E0618).
        """
        assert self._folder is not None, "only a run with a folder can be continued"
        if not self._folder.last.exists():
            self._folder.rewind(0)
            return
        position, tensors = self.saved()
        checkpoint.assign(self.network, Checkpoint(tensors), self._folder.last)
        self.position, self._restored = position, tensors
        self._folder.rewind(position.records)
        self.records = self._folder.records

    def saved(self) -> tuple[Position, Mapping[str, np.ndarray]]:
        """What ``last.safetensors`` holds.

        Raises:
            ModelError: the file is damaged (E0616), or the model was changed since (E0618).
        """
        assert self._folder is not None, "only a run with a folder has checkpoints"
        found = checkpoint.load(self._folder.last)
        try:
            position = Position(**found.metadata["position"])
        except (KeyError, TypeError) as error:
            raise ModelError(
                Diagnostic("E0616", f"{self._folder.last} does not say how far the run has come ({error})")
            ) from error
        if found.metadata.get("sources") != self._sources:
            raise ModelError(
                Diagnostic("E0618", f"the model in {self._folder.path} was changed after its last checkpoint")
            )
        return position, found.tensors

    def run(self) -> None:
        """Trains what is left to train.

        Raises:
            ModelError: the data does not fit the net, or a loss is not finite (E0615).
            KeyboardInterrupt: Ctrl-C; everything is saved.
        """
        with Interrupts() as interrupts:
            for number in range(self.position.stage, len(self.stages)):
                if number > self.position.stage:
                    before = self.position
                    self.position = Position(
                        stage=number, draws=before.draws, records=before.records, seconds=before.seconds
                    )
                _StageRun(self, self.stages[number], interrupts).run()

    # ------------------------------------------------------------------------------------------- for the stage's run

    def save(self, slots: Sequence[str]) -> None:
        """Writes ``last.safetensors``."""
        if self._folder is None:
            return
        found = checkpoint.weights(self.network)
        tensors = {**found.tensors, **{name: self.network.read(name) for name in slots}}
        metadata = {**found.metadata, "position": asdict(self.position), "sources": self._sources}
        self._folder.save_last(Checkpoint(tensors, metadata))

    def save_best(self) -> None:
        """Writes ``best.safetensors``."""
        if self._folder is not None:
            self._folder.save_best(checkpoint.weights(self.network))

    def load_data(self, stage: Stage) -> DataSet:
        return self._data(stage)

    def take_restored(self) -> Mapping[str, np.ndarray]:
        """The restored variables, once."""
        restored, self._restored = self._restored, {}
        return restored

    def write(self, record: dict[str, Any]) -> None:
        """A line of metrics."""
        self.position.records += 1
        if self._folder is not None:
            self._folder.record(record)
            self.records = self._folder.records
            if record["kind"] == "epoch":
                self._folder.draw()
        else:
            self.records.append(record)
        self._observer.record(record)

    def warn(self, diagnostic: Diagnostic) -> None:
        self._observer.warn(diagnostic)

    def advance(self, status: Status) -> None:
        self._observer.advance(status)

    @property
    def save_seconds(self) -> float:
        return self._save_seconds

    @property
    def last(self) -> Path | None:
        """The last checkpoint, where there is one."""
        return self._folder.last if self._folder is not None and self._folder.last.exists() else None


class _StageRun:
    """One stage, from where its run stands to its end."""

    def __init__(self, training: Training, stage: Stage, interrupts: Interrupts) -> None:
        self.training = training
        self.stage = stage
        self.interrupts = interrupts
        network = self.network = training.network
        dataset = training.load_data(stage)
        self.trainer = Trainer(network, stage)
        pipeline = augment.pipeline(stage.augment, dataset)
        common: dict[str, Any] = {"batch": stage.batch, "seed": stage.seed, "augment": pipeline}
        common["spans"] = self.trainer.spans
        self.train = Batches(
            dataset, "train", self.trainer.inputs, training=True, feed=self._feed(self.trainer.inputs), **common
        )
        self.held_out: Batches | None = None
        split = next((name for name in ("validation", "test") if name in dataset.splits), None)
        if split is not None and (network.inference.losses or network.inference.metrics):
            inputs = inference.measured_inputs(network, stage.batch)
            self.held_out = Batches(dataset, split, inputs, training=False, feed=self._feed(inputs), **common)
        remainder = self.train.remainder()
        if remainder is not None:
            training.warn(remainder)
        self.total = stage.total_steps(len(self.train))
        self.trainer.steps_per_epoch = len(self.train)
        self.trainer.steps, self.trainer.draws = self.position.step, self.position.draws
        restored = training.take_restored()
        for name in self.trainer.slots:
            if name in restored:
                network.write(name, restored[name])
        self.reports = Reports()
        self.since = _Interval(self.position.step)

    @property
    def position(self) -> Position:
        return self.training.position

    def _feed(self, inputs: Mapping[str, Any]) -> dict[str, str]:
        """The renamed fields of some inputs; a name that the net lacks stays, to be complained about."""
        known = self.network.training.inputs
        return {name: f for name, f in self.stage.feed.items() if name in inputs or name not in known}

    def run(self) -> None:
        if self.position.step == 0:
            self.save()  # so that there is always a checkpoint of the running stage
        # An epoch may have been left after its last batch, with nothing measured.
        while self.position.step < self.total or self.position.batch:
            self.epoch()
        self.network.forget(self.trainer.slots)

    def epoch(self) -> None:
        position, epoch = self.position, self.position.epoch
        stop = min(len(self.train), position.batch + self.total - position.step)
        began = saved = time.monotonic()
        before = position.seconds
        steps_before = position.step

        def get(index: int) -> Batch:
            return self.train.get(epoch, index)

        with Prefetch(get, range(position.batch, stop)) as ahead:
            for batch in ahead:
                for report in self.reports.add(self.trainer.submit(batch.arrays)):
                    self.count(report)
                position.batch += 1
                position.step += 1
                position.draws += 1
                self.training.steps += 1
                now = time.monotonic()
                position.seconds = before + now - began
                if position.step - self.since.step >= RECORD_STEPS and position.batch < stop:
                    self.settle()
                    self.training.write(self.since.record(self, "steps"))
                    self.since = _Interval(position.step)
                if self.interrupts.requested:
                    self.save()
                    raise KeyboardInterrupt
                if now - saved > self.training.save_seconds:
                    self.save()
                    saved = time.monotonic()
        self.settle()
        now = time.monotonic()
        position.seconds = before + now - began
        held_out = measure(self.network, self.held_out) if self.held_out is not None else None
        self.finish_epoch(held_out, (position.step - steps_before) * self.stage.batch / max(now - began, 1e-9))
        if self.interrupts.requested:
            raise KeyboardInterrupt

    def finish_epoch(self, held_out: Measurement | None, speed: float) -> None:
        """Writes the epoch's metrics and checkpoints, and moves on to the next one."""
        position = self.position
        means = [total / position.summed for total in position.sums] if position.summed else []
        record = self.record("epoch", means, speed)
        judged = means[0] if means else 0.0
        if held_out is not None and self.held_out is not None:
            judged = held_out.loss(self.stage.minimize)
            record["held_out"] = {
                "split": self.held_out.examples.name,
                "loss": judged,
                "losses": held_out.losses,
                "metrics": held_out.metrics,
            }
        is_best = isfinite(judged) and (position.best is None or judged < position.best)
        record["best"] = is_best
        self.training.write(record)
        position.epoch += 1
        position.batch = position.summed = 0
        position.sums = []
        self.since = _Interval(position.step)
        if is_best:
            position.best = judged
            self.training.save_best()
        self.save()

    def rate(self) -> float:
        """The learning rate of the last step."""
        return self.trainer.rate_of(max(self.position.step - 1, 0))

    def settle(self) -> None:
        """Waits for the reports that are on their way."""
        for report in self.reports.drain():
            self.count(report)

    def save(self) -> None:
        self.settle()
        self.training.save(self.trainer.slots)

    def count(self, report: Report) -> None:
        """Adds a report to the epoch's averages.

        Raises:
            ModelError: E0615, its loss is not finite.
        """
        values = report.values.astype(np.float64)
        if not isfinite(values[0]):
            raise self.not_finite(report)
        position = self.position
        position.sums = values.tolist() if not position.sums else (np.array(position.sums) + values).tolist()
        position.summed += 1
        self.since.add(values)
        losses = len(self.network.training.losses)
        metrics = [total / position.summed for total in position.sums[1 + losses :]]
        self.training.advance(
            Status(
                self.stage,
                position.epoch + 1,
                -(-self.total // len(self.train)),
                position.batch,
                len(self.train),
                report.step + 1,
                self.total,
                position.sums[0] / position.summed,
                dict(zip(self.network.training.metrics, metrics, strict=True)),
                self.since.speed(self.stage.batch),
            )
        )

    def not_finite(self, report: Report) -> ModelError:
        """The complaint about a step's loss, with the first node that made something that is not finite."""
        culprits = [(name, value) for name, value in report.losses.items() if not isfinite(value)]
        what = " and ".join(f"loss '{name}' is {value}" for name, value in culprits) or f"the loss is {float(report)}"
        place, label = self.stage.span, ""
        if culprits:
            place = visible(self.network.training.losses[culprits[0][0]])
        notes = [f"the learning rate is {self.trainer.rate_of(report.step):g}"]
        if self.training.last is not None:
            notes.append(f"the last checkpoint, {self.training.last}, is from before")
            fault = self.replayed(report.step)
            if fault is not None and fault.node.operator in ("param", "state"):
                name = fault.node.attributes["name"]
                notes.append(f"'{name}' is no longer finite: the step before gave it {fault.elements} such numbers")
                place, label = visible(fault.node.outputs[0]), f"'{name}' belongs to this"
            elif fault is not None:
                place, label = visible(fault.node.outputs[0]), "made the first numbers that are not finite"
                notes.append(f"{fault.elements} of them, by the operator '{fault.node.operator}'")
        return ModelError(
            Diagnostic(
                "E0615",
                f"{what} at step {report.step + 1} of stage '{self.stage.name}' "
                f"(epoch {report.step // len(self.train) + 1})",
                place,
                label=label,
                notes=tuple(notes),
                help="try a smaller learning rate, or limit the gradients: clip 1.0",
            )
        )

    def replayed(self, step: int) -> Fault | None:
        """Repeats the stage from its last checkpoint up to a step, and looks where that step went wrong."""
        position, tensors = self.training.saved()
        for name in (*self.network.variables, *self.trainer.slots):
            self.network.write(name, tensors[name])
        self.trainer.steps, self.trainer.draws = position.step, position.draws
        for repeated in range(position.step, step):
            self.trainer.submit(self.train.get(*divmod(repeated, len(self.train))).arrays)
        batch = self.train.get(*divmod(step, len(self.train)))
        return first_fault(self.network, batch.arrays, self.stage.seed, self.trainer.draws)

    def record(self, kind: str, means: Sequence[float], speed: float) -> dict[str, Any]:
        """A line of metrics from the averages of reports."""
        graph = self.network.training
        losses = len(graph.losses)
        return {
            "kind": kind,
            "stage": self.stage.name,
            "epoch": self.position.epoch + 1,
            "step": self.position.step,
            "loss": means[0] if means else None,
            "losses": dict(zip(graph.losses, means[1 : 1 + losses], strict=False)),
            "metrics": dict(zip(graph.metrics, means[1 + losses :], strict=False)),
            "lr": self.rate(),
            "examples_per_second": round(speed, 1),
            "seconds": round(self.position.seconds, 3),
        }


class _Interval:
    """The steps since the last line of metrics."""

    def __init__(self, step: int) -> None:
        self.step = step
        self._began = time.monotonic()
        self._sums: np.ndarray | None = None
        self._count = 0

    def add(self, values: np.ndarray) -> None:
        self._sums = values.copy() if self._sums is None else self._sums + values
        self._count += 1

    def speed(self, batch: int) -> float:
        """Examples a second."""
        return self._count * batch / max(time.monotonic() - self._began, 1e-9)

    def record(self, run: _StageRun, kind: str) -> dict[str, Any]:
        means = [] if self._sums is None else (self._sums / self._count).tolist()
        return run.record(kind, means, self.speed(run.stage.batch))
