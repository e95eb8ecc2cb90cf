"""Measured choices for a model: the problems of its training step or prediction, in the order of their time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from time import monotonic

import numpy as np

from graphdl.operators.kernels.family import Choose
from graphdl.runtime.profiler import timeline
from graphdl.runtime.tuned import choice_of
from graphdl.runtime.tuning import Found, Task, Tuner, tasks_of
from graphdl.training import inference
from graphdl.training.network import Network
from graphdl.training.profiling import profile_prediction, profile_step
from graphdl.training.stages import Stage
from graphdl.training.trainer import Trainer

BUDGET = 60.0
"""The default budget of a search, in seconds."""
_PROFILED = 5
_FEWEST, _ROUNDS = 3, 15
"""How many times the choices before and after a search are measured in turn, at least and at most."""
_SECONDS = 10.0
"""After so many seconds, these measurements end at the fewest."""
_STEPS = 3

Report = Callable[[Sequence[Task], Task, "Found | None", int], None]
"""Called with all tasks, the current task, its result once it is done, and the number of measured forms."""


@dataclass(frozen=True)
class Tuned:
    """The result of a search."""

    tasks: Sequence[Task]
    found: Sequence[Found]
    share: float
    """The fraction of the kernels' time that the tasks take."""
    before: float
    """Seconds of a step with the choices before the search."""
    after: float
    """Seconds of a step with those after it, measured in turn with those before; the same if none has changed."""

    @property
    def complete(self) -> bool:
        """Whether the search is complete for all tasks."""
        return len(self.found) == len(self.tasks) and all(each.entry.complete for each in self.found)


def tune(
    network: Network,
    stage: Stage | None,
    arrays: Mapping[str, np.ndarray],
    budget: float = BUDGET,
    report: Report = lambda *_: None,
) -> Tuned:
    """Searches for the fastest forms of the kernels of a stage's step, or of a prediction, within ``budget`` seconds.

    They are stored in the user's own table of the device. Every program that is compiled later uses them.

    Raises:
        ModelError: the net has no loss or no output, or the arrays do not fit it.
        DeviceError: the device fails.
        OSError: the table cannot be written.
        KeyboardInterrupt: Ctrl-C; all measurements are stored.
    """
    info = network.device.info
    if stage is not None:
        profile = profile_step(network, stage, arrays, _PROFILED)
    else:
        profile = profile_prediction(network, arrays, _PROFILED)
    tasks = tasks_of(profile.launches, network.device.target)
    tuner = Tuner(network.device, lambda task, found, tried: report(tasks, task, found, tried))
    before = choice_of(info)
    try:
        found = tuner.run(tasks, budget)
    finally:
        choice_of.cache_clear()
    share = sum(task.seconds for task in tasks) / max(profile.running, 1e-12)
    after, target = choice_of(info), network.device.target
    changed = any(before(t.family, t.problem, target) != after(t.family, t.problem, target) for t in tasks)
    times = _in_turn(network, stage, arrays, (before, after)) if changed else [profile.step] * 2
    return Tuned(tasks, found, share, *times)


def _in_turn(
    network: Network, stage: Stage | None, arrays: Mapping[str, np.ndarray], choices: Sequence[Choose]
) -> list[float]:
    """The median seconds of a step with each of the choices, which are measured repeatedly in turn."""
    times: list[list[float]] = [[] for _ in choices]
    end = monotonic() + _SECONDS
    before = {name: network.read(name) for name in network.variables}
    trainer = Trainer(network, stage) if stage is not None else None
    try:
        for turn in range(_ROUNDS + 1):
            if turn > _FEWEST and monotonic() > end:
                break
            for choice, column in zip(choices, times, strict=True):
                network.choose = choice
                if trainer is not None:
                    found = trainer.timeline(_STEPS + 1, **arrays)
                else:
                    executor, feeds = inference.predicting(network, arrays)
                    found = timeline(executor, lambda feeds=feeds: feeds, _STEPS + 1)  # type: ignore[misc]
                if turn:  # the first turn compiles
                    column.append((found.runs[-1].begin - found.runs[0].begin) / _STEPS)
    finally:
        network.choose = None
        if trainer is not None:
            trainer.release()
        for name, value in before.items():
            network.write(name, value)
    return [median(column) for column in times]
