"""A timeline in the JSON form of Chrome's trace events, which Perfetto (ui.perfetto.dev) and chrome://tracing show."""

from __future__ import annotations

from typing import Any

from graphdl.compiler.program import Launch
from graphdl.runtime.profiler import Stretch, Timeline

_PROCESS = 1
_DEVICE, _HOST = 1, 2
_MICRO = 1e6


def trace_of(timeline: Timeline, name: str) -> dict[str, Any]:
    """The trace of a model of this name: a track of the device with every launch, and one of the host."""
    names = (("process_name", 0, name), ("thread_name", _DEVICE, "device"), ("thread_name", _HOST, "host"))
    events: list[dict[str, Any]] = [
        {"ph": "M", "name": kind, "pid": _PROCESS, "tid": track, "args": {"name": text}} for kind, track, text in names
    ]
    launches = timeline.program.launches
    for step, run in enumerate(timeline.runs):
        events.append(_slice("inputs", "host", _HOST, run.feeding, {"step": step}))
        events.append(_slice("enqueue", "host", _HOST, run.enqueueing, {"step": step}))
        events += [_slice("copy of an input", "copy", _DEVICE, each, {"step": step}) for each in run.copies]
        for number, stretch in zip(run.numbers, run.launches, strict=True):
            launch = launches[number]
            kind = launch.kernel.rpartition("_")[0]
            events.append(_slice(launch.label or kind, kind, _DEVICE, stretch, _facts(launch, number, step, stretch)))
    return {"traceEvents": events, "displayTimeUnit": "ms"}


def _slice(name: str, category: str, track: int, stretch: Stretch, facts: dict[str, Any]) -> dict[str, Any]:
    return {
        "ph": "X", "name": name, "cat": category, "pid": _PROCESS, "tid": track, "ts": stretch.begin * _MICRO,
        "dur": stretch.seconds * _MICRO, "args": facts,
    }  # fmt: skip


def _facts(launch: Launch, number: int, step: int, stretch: Stretch) -> dict[str, Any]:
    seconds = max(stretch.seconds, 1e-9)
    return {
        "step": step, "launch": number, "kernel": launch.kernel, "FLOPs": launch.flops, "bytes": launch.bytes,
        "GFLOP/s": launch.flops / seconds / 1e9, "GB/s": launch.bytes / seconds / 1e9,
        "modules": ", ".join(launch.modules),
        "lines": ", ".join(dict.fromkeys(f"{s.span.source.name}:{s.span.line}" for s in launch.shares if s.span)),
    }  # fmt: skip
