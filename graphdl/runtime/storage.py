"""Whether a device can read and write a form of elements in memory: found out by compiling and running a kernel."""

from __future__ import annotations

import numpy as np
import pyopencl as cl

from graphdl.compiler.program import Kernel
from graphdl.diagnostics import DeviceError
from graphdl.graph.elements import BFLOAT16, FLOAT16, Stored
from graphdl.resources import resource
from graphdl.runtime.build import build
from graphdl.runtime.opencl import Device, device_errors

_WIDTH = 8
_STORED = {
    FLOAT16.numpy: [0x0000, 0x8000, 0x0001, 0x83FF, 0x0400, 0x3C00, 0xC001, 0x7BFF, 0x7C00, 0xFC00, 0x3555, 0x7E00],
    BFLOAT16.numpy: [0x0000, 0x8000, 0x0080, 0x8081, 0x3F80, 0xC001, 0x3EAB, 0x7F7F, 0x7F80, 0xFF80, 0x4049, 0x7FC0],
}
"""The bits of elements to read: zeros, the smallest and greatest, subnormal ones, infinities, a NaN."""
_WRITTEN = [
    0.0, -0.0, 1.0, 1.00048828125, 1.0009765625, 1.00146484375, 1.00390625, 1.01171875, -1 / 3, 5e-5, 6e-8, 2e-8,
    65504.0, 65519.9, 65520.0, -1e30, np.inf, -np.inf, np.nan, 3.4e38,
]  # fmt: skip
"""Floats to write: halfway between two elements, beyond the greatest, between the smallest and 0."""


def refusal(device: Device, form: Stored) -> str | None:
    """Why a device cannot read and write elements of a form; None if it can."""
    try:
        read, written = _tried(device, form)
    except DeviceError as error:
        return str(error)
    bits, floats = _samples(form)
    wanted = {"reads": (read, values_of(form, bits)), "writes": (values_of(form, written), rounded(form, floats))}
    for does, (found, right) in wanted.items():
        wrong = ~((found == right) & (np.signbit(found) == np.signbit(right)) | (np.isnan(found) & np.isnan(right)))
        if wrong.any():
            at = int(np.flatnonzero(wrong)[0])
            return f"it {does} {found[at]} in place of {right[at]}"
    return None


def values_of(form: Stored, bits: np.ndarray) -> np.ndarray:
    """The floats that elements of 16 bits stand for."""
    if form.numpy == FLOAT16.numpy:
        return bits.astype(np.uint16).view(np.float16).astype(np.float32)
    return (bits.astype(np.uint32) << 16).view(np.float32)


def rounded(form: Stored, values: np.ndarray) -> np.ndarray:
    """Floats rounded to the nearest element of 16 bits, of two nearest to the even one."""
    if form.numpy == FLOAT16.numpy:
        with np.errstate(over="ignore"):
            return values.astype(np.float16).astype(np.float32)
    bits = values.astype(np.float32).view(np.uint32)
    near = (bits + 0x7FFF + ((bits >> 16) & 1)) & np.uint32(0xFFFF0000)
    return np.where(np.isnan(values), values, near.view(np.float32))


def _samples(form: Stored) -> tuple[np.ndarray, np.ndarray]:
    """Bits to read and floats to write, as many of both."""
    count = 3 * _WIDTH
    return np.resize(np.array(_STORED[form.numpy], np.uint16), count), np.resize(np.array(_WRITTEN, np.float32), count)


def _tried(device: Device, form: Stored) -> tuple[np.ndarray, np.ndarray]:
    """What a kernel reads and writes: floats, and bits. Most elements go in vectors, the last ones one by one.

    Raises:
        DeviceError: it does not compile or run.
    """
    head = "".join(resource(f"opencl/{name}").read_text("utf-8") for name in ("vectors.cl", form.source))
    text = f"""
__kernel void storage(__global const {form.memory} *bits, __global float *read,
                      __global const float *floats, __global {form.memory} *written)
{{
    STORE_VECTOR(float, {_WIDTH}, {form.read_vector(_WIDTH, "bits", "1")}, read + 1);
    const float{_WIDTH} value = LOAD_VECTOR(float, {_WIDTH}, floats + 1);
    {form.write_vector(_WIDTH, "value", "written", "1")}
    for (int k = 0; k < {3 * _WIDTH}; k += k == 0 ? {_WIDTH + 1} : 1) {{
        read[k] = {form.read("bits", "k")};
        {form.write("floats[k]", "written", "k")}
    }}
}}
"""
    bits, floats = _samples(form)
    read, written = np.zeros(bits.shape, np.float32), np.zeros(bits.shape, np.uint16)
    kernel = build(device, {"storage": Kernel("storage", head + text)}).create("storage")
    with device_errors("a kernel that reads and writes 16 bits"):
        flags = cl.mem_flags
        given = [cl.Buffer(device.context, flags.COPY_HOST_PTR, hostbuf=each) for each in (bits, floats)]
        made = [cl.Buffer(device.context, flags.READ_WRITE, each.nbytes) for each in (read, written)]
        kernel.set_args(given[0], made[0], given[1], made[1])
        cl.enqueue_nd_range_kernel(device.queue, kernel, (1,), (1,))
        cl.enqueue_copy(device.queue, read, made[0])
        cl.enqueue_copy(device.queue, written, made[1])
    return read, written
