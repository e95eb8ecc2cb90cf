"""OpenCL devices: enumerated, probed, chosen and opened."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import pyopencl as cl

from graphdl.compiler.program import Target
from graphdl.diagnostics import DeviceError
from graphdl.runtime.ranking import DeviceInfo, candidates, kind_of, with_quirks

_PROBE = "__kernel void probe(__global float *x) { x[get_global_id(0)] = 3.0f * get_global_id(0); }"


@dataclass(frozen=True)
class Device:
    """An opened device: one context and one in-order queue for everything that runs on it."""

    info: DeviceInfo
    context: cl.Context
    queue: cl.CommandQueue
    built: dict[str, tuple[cl.Program, str]] = field(default_factory=dict)
    """Kernel text to the program that holds it and its name in there, so that programs share what is built."""

    @property
    def target(self) -> Target:
        return target_of(self.info)


@contextmanager
def device_errors(doing: str) -> Iterator[None]:
    """Turns whatever OpenCL raises inside into a ``DeviceError`` that says what was being done."""
    try:
        yield
    except cl.Error as error:
        raise DeviceError(f"{doing} failed: {error}") from error


def all_devices() -> list[DeviceInfo]:
    """Every device, in the order of enumeration. Platforms that fail or list none are stepped over."""
    try:
        platforms = cl.get_platforms()
    except cl.Error:  # the loader found no platform at all
        return []
    found: list[DeviceInfo] = []
    host_memory = _host_memory()
    for platform in platforms:
        try:
            handles = platform.get_devices()
        except cl.Error:
            continue
        for handle in handles:
            try:
                info = _describe_device(len(found), platform, handle)
            except cl.Error:
                continue
            found.append(with_quirks(info, host_memory))
    return found


def choose(selector: str | None = None, devices: Sequence[DeviceInfo] | None = None) -> DeviceInfo:
    """The best device that a selector means and that passes the probe.

    Raises:
        DeviceError: no device, none that matches, or none of them works.
    """
    failures = []
    for info in candidates(all_devices() if devices is None else devices, selector):
        failure = probe(info)
        if failure is None:
            return info
        failures.append(f"  {info}: {failure}")
    raise DeviceError("no device works:\n" + "\n".join(failures))


def open_device(selector: str | None = None) -> Device:
    """Chooses a device and opens a context and an in-order queue on it.

    Raises:
        DeviceError: see ``choose``; or the driver refuses.
    """
    return open_info(choose(selector))


def open_info(info: DeviceInfo) -> Device:
    """Opens a device that was chosen before."""
    with device_errors(f"opening {info}"):
        context = cl.Context([info.handle])
        return Device(info, context, cl.CommandQueue(context, info.handle))


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
    )


def probe(info: DeviceInfo) -> str | None:
    """Compiles and runs a kernel of one line. What went wrong, or None."""
    if not info.usable:
        return "it is unavailable or has no compiler"
    try:
        context = cl.Context([info.handle])
        queue = cl.CommandQueue(context, info.handle)
        with compiler_warnings_ignored():
            kernel = cl.Kernel(build_program(context, _PROBE), "probe")
        result = np.zeros(16, np.float32)
        buffer = cl.Buffer(context, cl.mem_flags.READ_WRITE, result.nbytes)
        kernel.set_arg(0, buffer)
        cl.enqueue_nd_range_kernel(queue, kernel, (16,), (1,))
        cl.enqueue_copy(queue, result, buffer)
    except cl.Error as error:
        return str(error)
    if not np.array_equal(result, 3 * np.arange(16, dtype=np.float32)):
        return "a kernel of one line gave a wrong result"
    return None


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


def _describe_device(index: int, platform: cl.Platform, handle: cl.Device) -> DeviceInfo:
    kinds = cl.device_type
    return DeviceInfo(
        index=index,
        platform=platform.name.strip(),
        platform_version=platform.version.strip(),
        vendor=handle.vendor.strip(),
        name=handle.name.strip(),
        version=handle.version.strip(),
        driver_version=handle.driver_version.strip(),
        kind=kind_of(
            platform.name,
            handle.name,
            gpu=bool(handle.type & kinds.GPU),
            accelerator=bool(handle.type & kinds.ACCELERATOR),
        ),
        compute_units=handle.max_compute_units,
        memory=handle.global_mem_size,
        max_allocation=handle.max_mem_alloc_size,
        local_memory=handle.local_mem_size,
        max_work_group=handle.max_work_group_size,
        vector_width=handle.native_vector_width_float,
        unified_memory=bool(handle.host_unified_memory),
        usable=bool(handle.available and handle.compiler_available),
        handle=handle,
    )


def _host_memory() -> int:
    """Bytes of the machine's memory; 0 where the system does not tell."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return 0
