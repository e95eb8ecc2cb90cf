"""OpenCL devices: enumeration, probing and choice."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby

import numpy as np
import pyopencl as cl

from graphdl.compiler.precision import FORMS
from graphdl.compiler.program import Kernel
from graphdl.diagnostics import DeviceError
from graphdl.runtime.build import build
from graphdl.runtime.drivers.loader import platforms, runtimes
from graphdl.runtime.drivers.pocl_processor import (
    known_processor,
    processor_flags,
    refused_processor,
    rename_processor,
)
from graphdl.runtime.measuring import by_speed, known_speed, measured_speed
from graphdl.runtime.opencl import Device, device_errors, open_info
from graphdl.runtime.ranking import (
    INSTALL_HINT,
    DeviceInfo,
    candidates,
    kind_of,
    ranked,
    with_known_processor,
    with_quirks,
)
from graphdl.runtime.selftest import fault
from graphdl.runtime.storage import refusal

_PROBE = Kernel("probe", "__kernel void probe(__global float *x) { x[get_global_id(0)] = 3.0f * get_global_id(0); }")


def all_devices() -> list[DeviceInfo]:
    """All devices, in the order of enumeration. Platforms that fail or have no devices are skipped."""
    found: list[DeviceInfo] = []
    host_memory = _host_memory()
    for platform in platforms():
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


SETTING = "GRAPHDL_DEVICE"
"""The environment variable that selects a device when no selector is given."""


def choose(selector: str | None = None, devices: Sequence[DeviceInfo] | None = None) -> DeviceInfo:
    """The best working device that matches a selector. Without a selector, GRAPHDL_DEVICE is used.

    Raises:
        DeviceError: there is no device, none matches, or none works.
    """
    return _first_that_works(wanted(all_devices() if devices is None else devices, selector)).info


def open_device(selector: str | None = None) -> Device:
    """Chooses a device and opens it. Without a selector, GRAPHDL_DEVICE is used.

    Raises:
        DeviceError: there is no device, none matches, or none works.
    """
    return _first_that_works(wanted(all_devices(), selector))


def probe(info: DeviceInfo) -> str | None:
    """Compiles and runs a kernel of one line, and the self-test if it has not run yet. Returns the error, or None."""
    try:
        _open_and_probe(info)
    except DeviceError as error:
        return str(error)
    return None


@dataclass(frozen=True)
class Finding:
    """The result of trying a device."""

    info: DeviceInfo
    failure: str | None
    """Why the device does not work, or None."""
    speed: float | None
    """FLOP/s, measured if several devices of a kind work."""
    refused: Mapping[str, str | None] = field(default_factory=dict)
    """For each precision of 16 bits, why the device does not have it, or None if it does."""


def survey(devices: Sequence[DeviceInfo]) -> list[Finding]:
    """Tries every device. Working devices come first, by kind and, where several of a kind work, by measured speed."""
    working: list[Finding] = []
    failing: list[Finding] = []
    for _, alike in groupby(ranked(devices), _kind):
        opened, failures = _open_all(list(alike))
        working += [Finding(device.info, None, known_speed(device.info), _refused(device)) for device in opened]
        failing += [Finding(info, failure, None) for info, failure in failures]
    return working + failing


def _refused(device: Device) -> dict[str, str | None]:
    return {name: refusal(device, form) for name, form in FORMS.items() if form.source}


def nothing_found() -> DeviceError:
    """The error for a machine without devices: what is wrong with its OpenCL runtimes, or what to install."""
    problems = [f"  {runtime.library}\n    {runtime.problem}" for runtime in runtimes() if runtime.problem is not None]
    if not problems:
        return DeviceError(f"no OpenCL device found; {INSTALL_HINT}")
    return DeviceError("no OpenCL device found, because of what is wrong with these runtimes:\n" + "\n".join(problems))


def wanted(devices: Sequence[DeviceInfo], selector: str | None = None) -> list[DeviceInfo]:
    """The devices that match a selector or else GRAPHDL_DEVICE, best first; without either, those usable by default.

    Raises:
        DeviceError: there is none.
    """
    if not devices:
        raise nothing_found()
    return candidates(devices, selector if selector is not None else os.environ.get(SETTING) or None)


def _first_that_works(order: Sequence[DeviceInfo]) -> Device:
    failures: list[tuple[DeviceInfo, str]] = []
    for _, group in groupby(order, _kind):
        alike = list(group)
        speeds = [speed for speed in map(known_speed, alike) if speed is not None]
        if len(speeds) == len(alike):  # all have been measured: the next one is opened only if this one fails
            for info in by_speed(alike, speeds):
                opened, failed = _open_all([info])
                failures += failed
                if opened:
                    return opened[0]
        else:
            opened, failed = _open_all(alike)
            failures += failed
            if opened:
                return opened[0]
    raise DeviceError("no device works:\n" + "\n".join(f"  {info}: {failure}" for info, failure in failures))


def _open_all(alike: Sequence[DeviceInfo]) -> tuple[list[Device], list[tuple[DeviceInfo, str]]]:
    """The working devices, best first, and the errors of the others. If there are several devices,
    they are measured.
    """
    opened: list[Device] = []
    failures: list[tuple[DeviceInfo, str]] = []
    for info in alike:
        try:
            device = _open_and_probe(info)
            if len(alike) > 1:
                measured_speed(device)
            opened.append(device)
        except DeviceError as error:
            failures.append((info, str(error)))
    if len(opened) > 1:
        infos = [device.info for device in opened]
        order = by_speed(infos, [measured_speed(device) for device in opened])
        opened.sort(key=lambda device: order.index(device.info))
    return opened, failures


def _kind(info: DeviceInfo) -> tuple[str, bool]:
    """The part of the ranking that precedes measurements: a GPU before a CPU, and a GPU with its own memory before
    others.
    """
    return info.kind, info.kind == "gpu" and info.unified_memory


def _open_and_probe(info: DeviceInfo) -> Device:
    if not info.usable:
        raise DeviceError("it is unavailable or has no compiler")
    device = open_info(info)
    try:
        _run_probe(device)
    except DeviceError as error:
        refused = refused_processor(str(error)) if "Portable Computing" in info.platform else None
        if refused is None:
            raise
        known = known_processor(processor_flags())
        rename_processor(info.handle.int_ptr, refused, known)
        _run_probe(device)
        device = replace(device, info=with_known_processor(info, refused, known))
    wrong = fault(device)
    if wrong is not None:
        raise DeviceError(wrong)
    return device


def _run_probe(device: Device) -> None:
    kernel = build(device, {"probe": _PROBE}).create("probe")
    result = np.zeros(16, np.float32)
    with device_errors("a kernel of one line"):
        buffer = cl.Buffer(device.context, cl.mem_flags.READ_WRITE, result.nbytes)
        kernel.set_arg(0, buffer)
        cl.enqueue_nd_range_kernel(device.queue, kernel, (16,), (1,))
        cl.enqueue_copy(device.queue, result, buffer)
    if not np.array_equal(result, 3 * np.arange(16, dtype=np.float32)):
        raise DeviceError("a kernel of one line gave a wrong result")


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
        cache=handle.global_mem_cache_size,
        cache_line=handle.global_mem_cacheline_size or 64,
        unified_memory=bool(handle.host_unified_memory),
        shares_memory=_shares_memory(handle),
        usable=bool(handle.available and handle.compiler_available),
        handle=handle,
    )


def _shares_memory(handle: cl.Device) -> bool:
    """Whether memory can be shared at a fine grain. Drivers before OpenCL 2 do not know the question."""
    try:
        return bool(handle.svm_capabilities & cl.device_svm_capabilities.FINE_GRAIN_BUFFER)
    except cl.Error:
        return False


def _host_memory() -> int:
    """Bytes of the machine's memory; 0 if the system does not report it."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return 0
