"""Training from data: the stages in order, epoch by epoch, with measurements and checkpoints.

A run that is continued from a checkpoint gives the same numbers.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np

from graphdl import strict_json
from graphdl.data.batches import Batch, Batches
from graphdl.data.dataset import DataSet
from graphdl.data.pipeline import pipeline
from graphdl.data.prefetch import Prefetch
from graphdl.diagnostics import Diagnostic, ModelError
from graphdl.graph.train import Best
from graphdl.training import checkpoint, faults, inference, schema
from graphdl.training.buckets import shorter_inputs
from graphdl.training.checkpoint import Checkpoint
from graphdl.training.diagnosis import Fault, first_fault
from graphdl.training.inference import Measurement, measure
from graphdl.training.interrupts import Interrupted, Interrupts
from graphdl.training.network import Network
from graphdl.training.reports import Report
from graphdl.training.run import RunFolder
from graphdl.training.scaling import LEAST, Scaling
from graphdl.training.schema import Position, Sums
from graphdl.training.stages import Stage
from graphdl.training.turns import trainer_of

SAVE_SECONDS = 60.0
"""The longest time in seconds, within an epoch, between two writes of ``last.safetensors``."""
RECORD_STEPS = 100
"""Within an epoch, the number of steps after which a line of metrics is written."""


@dataclass(frozen=True)
class Status:
    """The state of a running stage, for display."""

    stage: Stage
    epoch: int
    """The number of the epoch, from 1."""
    epochs: int
    batch: int
    """The number of batches of the epoch that are done."""
    batches: int
    step: int
    total_steps: int
    loss: float
    """The epoch's average so far."""
    metrics: Mapping[str, float]
    examples_per_second: float


class Observer:
    """Receives the events of a training. This one ignores them."""

    def warn(self, diagnostic: Diagnostic) -> None:
        """Receives a warning about a stage that begins or diverges."""

    def compiling(self, done: int, total: int) -> None:
        """Called while kernels are compiled, with the number of those that are compiled and of all."""

    def advance(self, status: Status) -> None:
        """Called after each step whose report has arrived."""

    def record(self, record: Mapping[str, Any]) -> None:
        """Receives a line of metrics after it is stored.

        There is one after each epoch, with its checkpoint, and one within an epoch after every ``RECORD_STEPS`` steps.
        """


class Training:
    """A run of all stages.

    ``data`` returns the data set of a stage. With a ``folder``, the run is stored there. The same settings and seed
    give the same weights, bit for bit, on one device. This also holds for a run that was interrupted or killed at any
    moment and continued from ``last.safetensors``.
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
        memory: int | None = None,
    ) -> None:
        self.network = network
        self.stages = stages
        self.position = Position()
        self.records: list[dict[str, Any]] = []
        self.steps = 0
        """The number of steps that this process has done."""
        self._data = data
        self._folder = folder
        self._observer = observer or Observer()
        self._save_seconds = save_seconds
        self.memory = memory
        """The limit of memory for a training step, in bytes."""
        self._restored: Mapping[str, np.ndarray] = {}
        self._sources = folder.sources if folder is not None else ""

    def resume(self) -> None:
        """Returns to the state in the folder's ``last.safetensors``, or to the start if there is no such file.

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
        """The content of ``last.safetensors``: the position and the variables.

        Raises:
            ModelError: E0616, the file is damaged; E0618, it is another run's, or the model was changed since.
        """
        assert self._folder is not None, "only a run with a folder has checkpoints"
        found = self._folder.load(self._folder.last)
        try:
            known = schema.convert(found.metadata, schema.Resumption)
            if known.position.stage >= len(self.stages):
                raise ValueError(f"the entry 'position.stage': there are {len(self.stages)} stages")
        except ValueError as error:
            raise ModelError(
                Diagnostic("E0616", f"{self._folder.last} does not say how far the run has come: {error}")
            ) from error
        if known.sources != self._sources:
            raise ModelError(
                Diagnostic("E0618", f"the model in {self._folder.path} was changed after its last checkpoint")
            )
        if known.seed != self.network.seed:
            raise ModelError(
                Diagnostic(
                    "E0618", f"{self._folder.last} was begun with seed {known.seed}, the run with {self.network.seed}"
                )
            )
        return known.position, found.tensors

    def run(self) -> None:
        """Trains the remaining steps of all stages.

        Raises:
            ModelError: the data does not fit the net, or a loss is not finite (E0615).
            Interrupted: Ctrl-C, SIGTERM or SIGHUP. Everything is saved first.
        """
        with self.network.watched(self._observer.compiling), Interrupts() as interrupts:
            for number in range(self.position.stage, len(self.stages)):
                if number > self.position.stage:
                    before = self.position
                    self.position = Position(
                        stage=number, draws=before.draws, records=before.records, seconds=before.seconds
                    )
                _StageRun(self, self.stages[number], interrupts).run()

    # ------------------------------------------------------------------------------------------- for the stage's run

    def save(self, tensors: Mapping[str, np.ndarray]) -> None:
        """Writes variables, including those of the optimizer, to ``last.safetensors``."""
        if self._folder is not None:
            known = {"position": schema.plain(self.position), "sources": self._sources}
            self._folder.save_last(Checkpoint(tensors, {**self._identity(), **known}))

    def save_best(self, tensors: Mapping[str, np.ndarray]) -> None:
        """Writes parameters and states to ``best.safetensors``."""
        if self._folder is not None:
            self._folder.save_best(Checkpoint(tensors, self._identity()))

    def _identity(self) -> dict[str, Any]:
        assert self._folder is not None, "only a run with a folder has a number"
        run = self._folder.settings.get("run", "")
        return {"net": self.network.inference.name, "seed": self.network.seed, "run": run}

    def load_data(self, stage: Stage) -> DataSet:
        return self._data(stage)

    def take_restored(self) -> Mapping[str, np.ndarray]:
        """Returns the restored variables once, and then none."""
        restored, self._restored = self._restored, {}
        return restored

    def write(self, record: dict[str, Any]) -> dict[str, Any]:
        """Stores a line of metrics. Returns it as stored: values that are not finite become None."""
        record = strict_json.finite(record)
        self.position.records += 1
        if self._folder is not None:
            self._folder.record(record)
            self.records = self._folder.records
            if record["kind"] == "epoch":
                self._folder.draw()
        else:
            self.records.append(record)
        return record

    def tell(self, record: Mapping[str, Any]) -> None:
        """Sends a line of metrics to the observer."""
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
        """The last checkpoint, if there is one."""
        return self._folder.last if self._folder is not None and self._folder.last.exists() else None


class _StageRun:
    """One stage, from the run's current position to the stage's end."""

    def __init__(self, training: Training, stage: Stage, interrupts: Interrupts) -> None:
        self.training = training
        self.stage = stage
        self.interrupts = interrupts
        network = self.network = training.network
        dataset = training.load_data(stage)
        for warning in dataset.warnings:
            training.warn(warning)
        restored = training.take_restored()
        self.trainer = trainer_of(network, stage, memory=training.memory, begins=not restored)
        common: dict[str, Any] = {
            "batch": stage.batch,
            "seed": stage.seed,
            "augment": pipeline(stage.augment, dataset),
            "spans": self.trainer.spans,
        }
        self.train = Batches(
            dataset, "train", self.trainer.inputs, training=True, feed=self._feed(self.trainer.inputs),
            shorter=shorter_inputs(network, self.trainer.inputs, dataset), **common,
        )  # fmt: skip
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
        self.trainer.go_on_from(self.position.step, self.position.draws)
        self._restore(restored)
        self.speed = _Speed()
        self.is_warned = False

    @property
    def position(self) -> Position:
        return self.training.position

    def _restore(self, tensors: Mapping[str, np.ndarray]) -> None:
        """Sets the optimizer's variables to the values of the checkpoint that is continued.

        Raises:
            ModelError: E0616, a variable is missing or of another shape, or the checkpoint's position does not exist in
                the stage.
        """
        if not tensors:
            return
        position = self.position
        sums = 1 + len(self.network.training.losses) + len(self.network.training.metrics)
        fits = position.batch <= len(self.train) and position.interval_start <= position.step
        for each in (position.epoch_sums, position.interval_sums):
            fits = fits and len(each.values) == (sums if each.count else 0)
        wrong = [
            name
            for name in self.trainer.kept
            if name not in tensors
            or (tensors[name].shape, tensors[name].dtype.kind) != (self.network.read(name).shape, "f")
        ]
        if wrong or not fits:
            reason = f"has no fitting '{wrong[0]}'" if wrong else "does not say how far the run has come"
            raise ModelError(Diagnostic("E0616", f"{self.training.last} {reason}"))
        for name in self.trainer.kept:
            self.network.write(name, tensors[name])

    def _feed(self, inputs: Mapping[str, Any]) -> dict[str, str]:
        """The renamed fields of some inputs. A name that the net lacks is kept, so that it is reported."""
        known = self.network.training.inputs
        return {name: f for name, f in self.stage.feed.items() if name in inputs or name not in known}

    def run(self) -> None:
        if self.position.step == 0:
            self.save()  # so that there is always a checkpoint of the running stage
        # An epoch may have been interrupted after its last batch, before it was measured.
        while self.position.step < self.total or self.position.batch:
            self.epoch()
        self.trainer.adopt_averages()
        self.trainer.release()

    def epoch(self) -> None:
        position, epoch = self.position, self.position.epoch
        stop = min(len(self.train), position.batch + self.total - position.step)
        began = saved = time.monotonic()
        before = position.seconds
        steps_before = position.step

        def get(index: int) -> Batch:
            return self.train.get(epoch, index)

        with self.interrupts.deferred(), Prefetch(get, range(position.batch, stop)) as ahead:
            for batch in ahead:
                self.trainer.submit(batch.arrays, batch.sizes)
                for report in self.trainer.reports.ready():
                    self.count(report)
                position.batch += 1
                position.step += 1
                position.draws += 1
                self.training.steps += 1
                now = time.monotonic()
                position.seconds = before + now - began
                self.speed.count += 1
                if position.step - position.interval_start >= RECORD_STEPS and position.batch < stop:
                    self.finish_interval()
                if self.interrupts.requested:
                    self.save()
                    self.interrupts.check()
                if now - saved > self.training.save_seconds:
                    self.save()
                    saved = time.monotonic()
            self.settle()
            now = time.monotonic()
            position.seconds = before + now - began
            try:
                held_out = self.measured()
            except Interrupted:
                self.save()
                raise
            self.finish_epoch(held_out, (position.step - steps_before) * self.stage.batch / max(now - began, 1e-9))
            self.interrupts.check()

    def measured(self) -> Measurement | None:
        """The losses and metrics on the held-out split; None if there is no such split.

        Raises:
            Interrupted: a signal has arrived meanwhile.
        """
        if self.held_out is None:
            return None
        with self.trainer.averaged():
            return measure(self.network, self.held_out, between=self.interrupts.check)

    def finish_interval(self) -> None:
        """Writes a line of metrics within an epoch."""
        self.settle()
        position = self.position
        means = _means(position.interval_sums)
        record = self.training.write(self.record("steps", means, self.speed.rate(self.stage.batch)))
        self.begin_interval()
        self.judge(means)
        self.training.tell(record)

    def begin_interval(self) -> None:
        self.position.interval_sums, self.position.interval_start = Sums(), self.position.step
        self.speed = _Speed()

    def finish_epoch(self, held_out: Measurement | None, speed: float) -> None:
        """Writes the metrics and checkpoints of the epoch, and advances to the next one.

        Raises:
            ModelError: E0615, the loss on held-out data or a variable is not finite. Nothing is written then.
        """
        position = self.position
        means = _means(position.epoch_sums)
        record = self.record("epoch", means, speed)
        judged = means[0] if means else 0.0
        if held_out is not None and self.held_out is not None:
            judged = held_out.loss(self.stage.minimize)
            if not isfinite(judged):
                raise faults.of_held_out(
                    self.network, self.stage, held_out, self.held_out, epoch=position.epoch + 1, last=self.training.last
                )
            record["held_out"] = {
                "split": self.held_out.examples.name,
                "loss": judged,
                "losses": held_out.losses,
                "metrics": held_out.metrics,
            }
        variables, kept = self.variables()
        if self.stage.best is not None:
            judged = self.chosen(self.stage.best, means, held_out)
        is_best = self.is_better(judged)
        record["best"] = is_best
        record = self.training.write(record)
        position.epoch += 1
        position.batch = 0
        position.epoch_sums = Sums()
        self.begin_interval()
        if is_best:
            position.best = judged if isfinite(judged) else None
            averages = {path: kept[name] for path, name in self.trainer.averages.items()}
            self.training.save_best({**variables, **averages})
        self.training.save({**variables, **kept})
        self.judge(means)
        self.training.tell(record)

    def chosen(self, best: Best, means: Sequence[float], held_out: Measurement | None) -> float:
        """The loss or metric that chooses the best weights: on held-out data, else the epoch's average."""
        graph = self.network.training
        measured = dict(zip((*graph.losses, *graph.metrics), means[1:], strict=False))
        if held_out is not None:
            measured |= {**held_out.losses, **held_out.metrics}
        return measured[best.name]

    def is_better(self, judged: float) -> bool:
        """Whether the weights are the best of the stage. A value that is not finite is the worst."""
        before, best = self.position.best, self.stage.best
        if before is None:
            return True
        if not isfinite(judged):
            return False
        return judged > before if best is not None and best.greatest else judged < before

    def judge(self, means: Sequence[float]) -> None:
        """Warns once in a stage if its loss diverges."""
        first = self.position.first_loss
        if self.is_warned or first is None or not means:
            return
        warning = faults.divergence(self.stage, first=first, loss=means[0], rate=self.rate())
        if warning is not None:
            self.is_warned = True
            self.training.warn(warning)

    def rate(self) -> float:
        """The learning rate of the last step."""
        return self.trainer.rate_of(max(self.position.step - 1, 0))

    def settle(self) -> None:
        """Waits for the pending reports."""
        for report in self.trainer.reports.drain():
            self.count(report)

    def save(self) -> None:
        """Writes ``last.safetensors``.

        Raises:
            ModelError: E0615, a variable is not finite. Nothing is written then.
        """
        self.settle()
        variables, kept = self.variables()
        self.training.save({**variables, **kept})

    def variables(self) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """The values of the parameters and states, and those of the optimizer's variables.

        Raises:
            ModelError: E0615, a value is not finite.
        """
        variables = {path: self.network.read(path) for path in self.network.variables}
        kept = {name: self.network.read(name) for name in self.trainer.kept}
        name = faults.not_finite({**variables, **kept})
        if name is not None:
            step, last = self.position.step, self.training.last
            raise faults.of_variable(self.network, self.stage, name, step=step, rate=self.rate(), last=last)
        return variables, kept

    def count(self, report: Report) -> None:
        """Adds a report to the epoch's averages, unless its step was skipped.

        Raises:
            ModelError: E0615, its loss is not finite, or the gradients overflow whatever the scale of the loss.
        """
        values = report.values.astype(np.float64)
        if report.is_skipped:
            if report.scale > LEAST:
                return
            raise self.not_finite(report) if not isfinite(values[0]) else faults.of_scale(self.stage, report)
        if not isfinite(values[0]):
            raise self.not_finite(report)
        position = self.position
        if position.first_loss is None:
            position.first_loss = float(values[0])
        _add(position.epoch_sums, values)
        _add(position.interval_sums, values)
        means = _means(position.epoch_sums)
        self.training.advance(
            Status(
                self.stage,
                position.epoch + 1,
                -(-self.total // len(self.train)),
                position.batch,
                len(self.train),
                report.step + 1,
                self.total,
                means[0],
                dict(zip(self.network.training.metrics, means[1 + len(self.network.training.losses) :], strict=True)),
                self.speed.rate(self.stage.batch),
            )
        )

    def not_finite(self, report: Report) -> ModelError:
        """The error about a step's loss, with the first node whose output is not finite."""
        return faults.of_loss(
            self.network, self.stage, report, epoch=report.step // len(self.train) + 1,
            rate=self.trainer.rate_of(report.step), last=self.training.last,
            replayed=lambda: self.replayed(report.step),
        )  # fmt: skip

    def replayed(self, step: int) -> Fault | None:
        """Repeats the stage from its last checkpoint up to a step, and finds the first fault of that step."""
        position, tensors = self.training.saved()
        for name in (*self.network.variables, *self.trainer.kept):
            self.network.write(name, tensors[name])
        self.trainer.go_on_from(position.step, position.draws)
        for repeated in range(position.step, step):
            done = self.train.get(*divmod(repeated, len(self.train)))
            self.trainer.submit(done.arrays, done.sizes)
            for report in self.trainer.reports.ready():
                _ = report.values
        batch = self.train.get(*divmod(step, len(self.train)))
        return first_fault(
            self.network, batch.arrays, self.stage.seed, self.trainer.draws, step, self.trainer.steps_per_epoch,
            batch.sizes,
        )  # fmt: skip

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
            **self.scaled(),
        }

    def scaled(self) -> dict[str, float]:
        """The scale of the loss and the number of skipped steps, if the loss is scaled.

        Of several turns it is the least scale, and the number in all.
        """
        turns = [scaling for each in self.stage.turns or (self.stage,) if (scaling := Scaling.of(each)) is not None]
        found = [each for each in turns if each.name("scale") in self.trainer.kept]
        if not found:
            return {}
        scales, skipped = ([float(self.network.read(x.name(word))) for x in found] for word in ("scale", "skipped"))
        return {"scale": min(scales), "skipped": int(sum(skipped))}


class _Speed:
    """The speed of this process since the last line of metrics."""

    def __init__(self) -> None:
        self.count = 0
        self._began = time.monotonic()

    def rate(self, batch: int) -> float:
        """Examples per second."""
        return self.count * batch / max(time.monotonic() - self._began, 1e-9)


def _add(sums: Sums, values: np.ndarray) -> None:
    """Adds a report. None, which stands for a value in a checkpoint that is not finite, counts as NaN."""
    before = np.array(sums.values, np.float64) if sums.count else 0.0
    sums.values = (before + values).tolist()
    sums.count += 1


def _means(sums: Sums) -> list[float]:
    return (np.array(sums.values, np.float64) / sums.count).tolist() if sums.count else []
