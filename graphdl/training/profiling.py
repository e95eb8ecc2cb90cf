"""The time of a training step or of a prediction, by kernel, by module and by line."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil

import numpy as np

from graphdl.compiler.program import Launch, Share
from graphdl.runtime.peak import Peak, measured_peak
from graphdl.runtime.profiler import Timeline, seconds_of, timeline
from graphdl.training import inference
from graphdl.training.network import Network
from graphdl.training.stages import Stage
from graphdl.training.trainer import Trainer

RUNS = 20
"""The default number of measured steps."""
_WARMING = 2
UNOWNED = "(the step itself)"
"""The name for work without a module: the report of a step, the clipping of gradients."""


@dataclass(frozen=True, slots=True)
class Row:
    """The time and work of a run under one name."""

    name: str
    seconds: float
    flops: float
    bytes: float
    launches: int
    """The number of launches that work for it, alone or with others."""


@dataclass(frozen=True)
class Profile:
    """The time of a step or a prediction, as the mean over the faster half of the runs.

    Other load on the machine makes runs slower and never faster. ``copying``, the seconds of the launches, and the gaps
    add up to ``step``.
    """

    batch: int
    training: bool
    timeline: Timeline
    peak: Peak
    step: float
    """Seconds from the start of a run to the start of the next, on the device."""
    copying: float
    """Seconds in which the device copies the inputs."""
    between_launches: float
    """Seconds in which the device is idle during a run."""
    between_steps: float
    """Seconds from the end of a run to the start of the next."""
    launches: tuple[tuple[Launch, float], ...]
    """The launches in order with their seconds, summed over all turns of loops.

    They do not include the setup, which runs only after a variable was written.
    """

    @property
    def flops(self) -> int:
        return sum(launch.flops * launch.times for launch, _ in self.launches)

    @property
    def bytes(self) -> int:
        return sum(launch.bytes * launch.times for launch, _ in self.launches)

    @property
    def running(self) -> float:
        """The seconds of all launches."""
        return sum(seconds for _, seconds in self.launches)

    @property
    def kinds(self) -> list[Row]:
        """Rows by the kind of kernel: a product, a convolution, a sum, formulas."""
        return rows(self.launches, lambda launch: [(kind_of(launch), 1.0)])

    @property
    def kernels(self) -> list[Row]:
        """Rows by the label of a launch."""
        return rows(self.launches, lambda launch: [(launch.label, 1.0)])

    @property
    def modules(self) -> list[Row]:
        """Rows by the path of a module."""
        return rows(self.launches, lambda launch: [(s.module or UNOWNED, s.part) for s in launch.shares])

    @property
    def lines(self) -> list[Row]:
        """Rows by the line of the model's files, ``lenet.net:7``."""
        return rows(self.launches, lambda launch: [(_line(share), share.part) for share in launch.shares])


def rows(launches: Iterable[tuple[Launch, float]], parts: Callable[[Launch], Sequence[tuple[str, float]]]) -> list[Row]:
    """The seconds, FLOPs and bytes of launches by name, the slowest first.

    ``parts`` divides each launch among names. A launch without parts counts for the step itself.
    """
    found: dict[str, Row] = {}
    for launch, seconds in launches:
        merged: dict[str, float] = {}
        for name, part in parts(launch) or [(UNOWNED, 1.0)]:
            merged[name] = merged.get(name, 0.0) + part
        for name, part in merged.items():
            row = found.get(name, Row(name, 0.0, 0.0, 0.0, 0))
            times = part * launch.times
            found[name] = Row(
                name, row.seconds + part * seconds, row.flops + times * launch.flops, row.bytes + times * launch.bytes,
                row.launches + launch.times,
            )  # fmt: skip
    return sorted(found.values(), key=lambda row: -row.seconds)


def kind_of(launch: Launch) -> str:
    """The kind of a launch: the operation at its root."""
    return launch.kernel.rpartition("_")[0]


def _line(share: Share) -> str:
    return UNOWNED if share.span is None else f"{share.span.source.name}:{share.span.line}"


def profile_step(
    network: Network, stage: Stage, arrays: Mapping[str, np.ndarray], runs: int = RUNS, memory: int | None = None
) -> Profile:
    """Profiles training steps of a stage on one batch. The net's variables are restored afterwards.

    Raises:
        ModelError: the net has no loss, or the arrays do not fit it.
        DeviceError: the device refuses, or a step needs more than ``memory`` bytes.
    """
    before = {name: network.read(name) for name in network.variables}
    trainer = Trainer(network, stage, memory=memory)
    try:
        trainer.timeline(_WARMING, **arrays)
        found = trainer.timeline(runs + 1, **arrays)
    finally:
        trainer.release()
        for name, value in before.items():
            network.write(name, value)
    return _profile(network, inference.example_count(arrays), True, found)


def profile_prediction(network: Network, arrays: Mapping[str, np.ndarray], runs: int = RUNS) -> Profile:
    """Profiles predictions of one batch.

    Raises:
        ModelError: the net has no output, or the arrays do not fit it.
        DeviceError: the device refuses.
    """
    executor, feeds = inference.predicting(network, arrays)
    timeline(executor, lambda: feeds, _WARMING)
    return _profile(network, inference.example_count(arrays), False, timeline(executor, lambda: feeds, runs + 1))


def _profile(network: Network, batch: int, training: bool, found: Timeline) -> Profile:
    program, runs = found.program, found.runs
    periods = [following.begin - run.begin for run, following in pairwise(runs)]
    order = sorted(range(len(periods)), key=periods.__getitem__)
    taken = order[: ceil(len(order) / 2)]

    def mean(values: Iterable[float]) -> float:
        return sum(values) / len(taken)

    ends = {k: max(each.end for each in (*runs[k].copies, *runs[k].launches)) for k in taken}
    busy = {k: sum(each.seconds for each in (*runs[k].copies, *runs[k].launches)) for k in taken}
    seconds = list(zip(*(seconds_of(program, runs[k]) for k in taken), strict=True))
    ran = sorted({number for k in taken for number in runs[k].numbers})
    return Profile(
        batch, training, found, measured_peak(network.device),
        step=mean(periods[k] for k in taken),
        copying=mean(each.seconds for k in taken for each in runs[k].copies),
        between_launches=mean(max(0.0, ends[k] - runs[k].begin - busy[k]) for k in taken),
        between_steps=mean(runs[k + 1].begin - ends[k] for k in taken),
        launches=tuple((program.launches[number], mean(seconds[number])) for number in ran),
    )  # fmt: skip
