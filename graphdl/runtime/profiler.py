"""Where the time of a run goes: every launch timed by the device itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyopencl as cl

from graphdl.compiler.program import Launch
from graphdl.runtime.executor import Executor
from graphdl.runtime.opencl import device_errors


def profile(executor: Executor, feeds: Mapping[str, Any] | None = None) -> list[tuple[Launch, float]]:
    """One run on a queue that keeps time: each launch with its seconds on the device, in order, all turns together.

    The run is a real one: variables change. The first run on some drivers compiles; profile the second.

    Raises:
        ValueError: the feeds are wrong.
        DeviceError: the device refuses.
    """
    device = executor.device
    executor.write_feeds(feeds or {})
    executor.finish()
    with device_errors("profiling the program"):
        properties = cl.command_queue_properties.PROFILING_ENABLE
        queue = cl.CommandQueue(device.context, device.info.handle, properties=properties)
        events = executor.enqueue(queue)
        queue.finish()
        launches = executor.program.launches
        seconds = [0.0] * len(launches)
        for (number, _), event in zip(executor.program.calls(), events, strict=True):
            seconds[number] += (event.profile.end - event.profile.start) * 1e-9
    return list(zip(launches, seconds, strict=True))
