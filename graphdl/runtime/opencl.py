"""An opened device, and workarounds for PyOpenCL's errors, warnings and cache."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pyopencl as cl

from graphdl.compiler.program import Target
from graphdl.diagnostics import DeviceError
from graphdl.runtime.ranking import DeviceInfo


@dataclass(frozen=True)
class Device:
    """An opened device: one context, and one in-order queue for everything that runs on it."""

    info: DeviceInfo
    context: cl.Context
    queue: cl.CommandQueue
    built: dict[str, cl.Program] = field(default_factory=dict, repr=False)
    """Maps the unique name of a kernel to the program that contains it, so that built kernels are shared."""

    @property
    def target(self) -> Target:
        return target_of(self.info)


def target_of(info: DeviceInfo) -> Target:
    """The properties of a device that the compiler needs."""
    # The work-items of a GPU's forms are short: their loops end before a limit.
    is_cpu = info.kind not in ("gpu", "accelerator") and not info.loop_turns
    return Target(
        kind="cpu" if is_cpu else "gpu",
        # The register of a CPU. On a GPU a work-item is one lane, and its widest load is 16 bytes.
        vector_width=max(4, info.vector_width) if is_cpu else 4,
        compute_units=info.compute_units,
        max_work_group=info.max_work_group,
        local_memory=info.local_memory,
        max_buffer=info.max_allocation,
        memory=info.memory,
        cache=info.cache,
        cache_line=info.cache_line,
        name=info.name,
        driver=f"{info.platform} {info.platform_version} {info.driver_version}",
    )


def open_info(info: DeviceInfo) -> Device:
    """Opens a context and an in-order queue on a device.

    Raises:
        DeviceError: the driver refuses.
    """
    with device_errors(f"opening {info}"):
        context = cl.Context([info.handle])
        return Device(info, context, cl.CommandQueue(context, info.handle))


@contextmanager
def device_errors(doing: str) -> Iterator[None]:
    """Turns errors of OpenCL in the block into a ``DeviceError`` whose message begins with ``doing``."""
    try:
        yield
    except cl.Error as error:
        raise DeviceError(f"{doing} failed: {error}") from error


def build_program(context: cl.Context, content: str | bytes, options: str = "") -> cl.Program:
    """Builds a program from its text or its binary, without PyOpenCL's cache on disk, which is unbounded and may fail.

    Raises:
        pyopencl.Error: the build failed; the error contains the log.
    """
    if isinstance(content, str):
        program = cl.Program(cl._cl._Program(context, content))
    else:
        program = cl.Program(context, context.devices, [content])
    program.build(options)
    return program


@contextmanager
def compiler_warnings_ignored() -> Iterator[None]:
    """Suppresses PyOpenCL's warning of build logs that are not empty: Intel's never are. Not for use in threads."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", cl.CompilerWarning)
        yield
