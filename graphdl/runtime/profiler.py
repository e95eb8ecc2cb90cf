"""A timeline of runs: the device measures the time of every launch, and the host the time of its own work."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyopencl as cl

from graphdl.compiler.program import Launch, Program
from graphdl.runtime.executor import Executor, Run
from graphdl.runtime.opencl import device_errors


@dataclass(frozen=True, slots=True)
class Stretch:
    """An interval of time, in seconds since the host began the first run."""

    begin: float
    end: float

    @property
    def seconds(self) -> float:
        return self.end - self.begin


@dataclass(frozen=True, slots=True)
class TimedRun:
    """One run on the device, and the host's work for it."""

    numbers: tuple[int, ...]
    """The number of each launch."""
    copies: tuple[Stretch, ...]
    """The copies of the feeds, on the device."""
    launches: tuple[Stretch, ...]
    """The launches, on the device."""
    feeding: Stretch
    """The host waits for the run before the last and prepares the feeds."""
    enqueueing: Stretch
    """The host enqueues the launches."""

    @property
    def begin(self) -> float:
        """The time when the device began the run."""
        return min(each.begin for each in (*self.copies, *self.launches))


@dataclass(frozen=True)
class Timeline:
    """Runs of a program, one right after the other."""

    program: Program
    runs: tuple[TimedRun, ...]


def timeline(executor: Executor, feeds: Callable[[], Mapping[str, Any]], count: int) -> Timeline:
    """Runs a program ``count`` times on a profiling queue. ``feeds`` returns the feeds of the next run.

    The runs are enqueued as in training: the host waits only for the run before the last. The runs change variables
    like any other runs. Some drivers compile at the first run, so the program should have run a few times before.

    Raises:
        ValueError: the feeds are wrong.
        DeviceError: the device refuses.
    """
    device = executor.device
    executor.finish()
    with device_errors("profiling the program"):
        properties = cl.command_queue_properties.PROFILING_ENABLE
        queue = cl.CommandQueue(device.context, device.info.handle, properties=properties)
        runs = [executor.run(feeds(), queue) for _ in range(count)]
        queue.finish()
        # The host's and the device's clocks are aligned at the time when the first launch is enqueued.
        shift = runs[0].written - runs[0].launches[0].profile.queued * _NANO if runs[0].launches else 0.0
        return Timeline(executor.program, tuple(_timed(run, shift, runs[0].begin) for run in runs))


def profile(executor: Executor, feeds: Mapping[str, Any] | None = None) -> list[tuple[Launch, float]]:
    """Runs a program once on a profiling queue.

    Returns each launch with its seconds on the device, in order, summed over all turns of its loops.

    Raises:
        ValueError: the feeds are wrong.
        DeviceError: the device refuses.
    """
    found = timeline(executor, lambda: feeds or {}, 1)
    return list(zip(executor.program.launches, seconds_of(found.program, found.runs[0]), strict=True))


def seconds_of(program: Program, run: TimedRun) -> list[float]:
    """The seconds of every launch of the program, summed over all turns of its loops."""
    seconds = [0.0] * len(program.launches)
    for number, stretch in zip(run.numbers, run.launches, strict=True):
        seconds[number] += stretch.seconds
    return seconds


def _timed(run: Run, shift: float, origin: float) -> TimedRun:
    def stretches(events: Sequence[cl.Event]) -> tuple[Stretch, ...]:
        found = [(event.profile.start * _NANO + shift, event.profile.end * _NANO + shift) for event in events]
        return tuple(Stretch(begin - origin, end - origin) for begin, end in found)

    return TimedRun(
        tuple(run.numbers),
        stretches(run.copies),
        stretches(run.launches),
        Stretch(run.begin - origin, run.written - origin),
        Stretch(run.written - origin, run.end - origin),
    )


_NANO = 1e-9
