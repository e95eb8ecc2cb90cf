"""An opened device, and PyOpenCL's rough edges: its errors, its warnings, its cache."""

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
    """An opened device: one context and one in-order queue for everything that runs on it."""

    info: DeviceInfo
    context: cl.Context
    queue: cl.CommandQueue
    built: dict[str, cl.Program] = field(default_factory=dict, repr=False)
    """The program that holds a kernel, by the kernel's unique name, so that what is built is shared."""

    @property
    def target(self) -> Target:
        return target_of(self.info)


def target_of(info: DeviceInfo) -> Target:
    """What the compiler needs to know of a device."""
    is_cpu = info.kind not in ("gpu", "accelerator")
    return Target(
        kind="cpu" if is_cpu else "gpu",
        # A CPU's register; on a GPU a work-item is a lane already and 16 bytes are its widest load.
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
    """Turns whatever OpenCL raises inside into a ``DeviceError`` that says what was being done."""
    try:
        yield
    except cl.Error as error:
        raise DeviceError(f"{doing} failed: {error}") from error


def build_program(context: cl.Context, content: str | bytes, options: str = "") -> cl.Program:
    """Builds a program from its text or its binary, past PyOpenCL's own cache on disk: ours is bounded and never fails.

    Raises:
        pyopencl.Error: the build failed; it carries the log.
    """
    if isinstance(content, str):
        program = cl.Program(cl._cl._Program(context, content))
    else:
        program = cl.Program(context, context.devices, [content])
    program.build(options)
    return program


@contextmanager
def compiler_warnings_ignored() -> Iterator[None]:
    """PyOpenCL warns of every build log that is not empty, and Intel's never is. Not for use within threads."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", cl.CompilerWarning)
        yield
