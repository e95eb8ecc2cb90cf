"""The measured peak of a device: floating-point operations and bytes of memory per second.

The kernels are those of ``opencl/peak.cl``. Other load on the machine makes a figure too low and never too high. So it
is measured again each time, and the best figure so far for a driver is used.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter

import numpy as np
import pyopencl as cl

from graphdl.cache import BinaryCache, cache_folder
from graphdl.compiler.program import Target
from graphdl.operators.kernels.template import lanes_of, registers_of
from graphdl.resources import resource
from graphdl.runtime.build import OPTIONS
from graphdl.runtime.opencl import Device, build_program, compiler_warnings_ignored, device_errors

_SECONDS = 0.08
"""The shortest time of each of the two measurements."""
_CPU_STEPS = 400_000
"""The steps of a work-item on a CPU: about a millisecond, of which the start of a launch is a small part."""
_GPU_STEPS = 20_000
_GPU_GROUPS = 64
_COPY_BYTES = 1 << 26


@dataclass(frozen=True, slots=True)
class Peak:
    """The greatest measured speeds of a device."""

    flops: float
    """Floating-point operations per second: multiply-adds in registers, each counted as two."""
    bandwidth: float
    """Bytes per second that a copy reads and writes, if it fits into no cache. Data in a cache may be faster."""


def measured_peak(device: Device) -> Peak:
    """The best figures so far for this device and driver, including a new measurement of a fifth of a second.

    Raises:
        DeviceError: the device does not run it.
    """
    info = device.info
    kept = BinaryCache(cache_folder() / "peaks")
    key = (info.platform, info.platform_version, info.name, info.version, info.driver_version, str(info.compute_units))
    with device_errors("measuring what the device can do"):
        flops, bandwidth = _multiply(device), _copy(device)
    known = kept.get(*key)
    if known is not None:
        before = np.frombuffer(known, "<f8")
        flops, bandwidth = max(flops, float(before[0])), max(bandwidth, float(before[1]))
    kept.put(np.array([flops, bandwidth], "<f8").tobytes(), *key)
    return Peak(flops, bandwidth)


def _multiply(device: Device) -> float:
    enqueue, flops = multiply_adds(device)
    return flops / _best(device, enqueue)


def multiply_adds(device: Device) -> tuple[Callable[[], object], float]:
    """A function that enqueues a kernel of nothing but multiply-adds in registers, and the floating-point operations of
    one launch.
    """
    target = device.target
    lanes = lanes_of(target)
    sums = registers_of(target) - 4 if target.kind == "cpu" else 8
    local = 1 if target.kind == "cpu" else min(target.tuning.group_items, target.max_work_group)
    items = target.compute_units * (1 if target.kind == "cpu" else _GPU_GROUPS * local)
    kernel = cl.Kernel(_program(device, target, sums=sums), "multiply")
    result = cl.Buffer(device.context, cl.mem_flags.READ_WRITE, items * lanes * 4)

    def enqueue() -> None:
        kernel(device.queue, (items,), (local,), result, np.float32(0.5), np.float32(1.0))

    return enqueue, 2.0 * items * lanes * sums * _steps(target)


def _copy(device: Device) -> float:
    target = device.target
    lanes = lanes_of(target)
    size = min(_COPY_BYTES, device.info.max_allocation // 2, device.info.memory // 8)
    vectors = size // (4 * lanes)
    local = 1 if target.kind == "cpu" else min(target.tuning.group_items, target.max_work_group)
    items = target.shares // local * local if target.kind == "gpu" else target.shares
    each = max(1, vectors // items)
    stride, span = (1, each) if target.kind == "cpu" else (items, 1)
    kernel = cl.Kernel(_program(device, target, each=each, stride=stride, span=span), "copy")
    flags = cl.mem_flags.READ_WRITE
    nbytes = items * each * lanes * 4
    source, result = cl.Buffer(device.context, flags, nbytes), cl.Buffer(device.context, flags, nbytes)
    cl.enqueue_fill_buffer(device.queue, source, np.zeros(1, np.uint8), 0, nbytes)
    kernel.set_args(source, result)
    seconds = _best(device, lambda: cl.enqueue_nd_range_kernel(device.queue, kernel, (items,), (local,)))
    return 2.0 * nbytes / seconds


def _program(
    device: Device, target: Target, *, sums: int = 1, each: int = 1, stride: int = 1, span: int = 1
) -> cl.Program:
    defines = {
        "LANES": lanes_of(target), "SUMS": sums, "STEPS": _steps(target), "EACH": each, "STRIDE": stride, "SPAN": span,
    }  # fmt: skip
    text = "".join(f"#define {name} {value}\n" for name, value in defines.items())
    with compiler_warnings_ignored():
        return build_program(device.context, text + resource("opencl/peak.cl").read_text("utf-8"), OPTIONS)


def _steps(target: Target) -> int:
    return _CPU_STEPS if target.kind == "cpu" else _GPU_STEPS


def _best(device: Device, enqueue: Callable[[], object]) -> float:
    """The shortest time of a launch in seconds, after one to warm up."""
    best, end = np.inf, None
    while end is None or perf_counter() < end:
        start = perf_counter()
        enqueue()
        device.queue.finish()
        now = perf_counter()
        if end is None:
            end = now + _SECONDS
        else:
            best = min(best, now - start)
    return float(best)
