"""A profile of a run: the device measures the time of every launch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyopencl as cl

from graphdl.compiler.program import Launch
from graphdl.runtime.executor import Executor
from graphdl.runtime.opencl import device_errors


def profile(executor: Executor, feeds: Mapping[str, Any] | None = None) -> list[tuple[Launch, float]]:
    """Runs a program once on a profiling queue.

    Returns each launch with its seconds on the device, in order, summed over all turns of its loops. The run changes
    variables like any other. The first run compiles on some drivers, so profile the second.

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
