"""Runs one form of a hand-written kernel outside of a program: for benchmarks, for tests, and to measure forms.

In a program the compiler writes the text around a template. This file writes the minimum that a template needs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod

import numpy as np
import pyopencl as cl

from graphdl.operators.kernels.template import TemplateCall
from graphdl.resources import resource
from graphdl.runtime.build import OPTIONS
from graphdl.runtime.opencl import Device, build_program, compiler_warnings_ignored, device_errors

_STORES = """
#define PUT_1(value, pointer) *(pointer) OPERATOR (value)
#define PUT_2(value, pointer) *(__global packed_float2 *)(pointer) OPERATOR (value)
#define PUT_4(value, pointer) *(__global packed_float4 *)(pointer) OPERATOR (value)
#define PUT_8(value, pointer) *(__global packed_float8 *)(pointer) OPERATOR (value)
#define PUT_16(value, pointer) *(__global packed_float16 *)(pointer) OPERATOR (value)
#define PUT(V, value, index) PUT_##V(value, result_ + (index))
"""


def plain_store(parameters: Sequence[str], memory: Mapping[str, int]) -> str:
    """The parameters and the body of a ``STORE`` macro with these coordinates.

    ``memory`` maps the coordinates to their extents, the fastest varying last. The extent of the first does not matter.
    """
    first, *others = memory
    index = f"(size_t)({first})"
    for name in others:
        index = f"({index} * {memory[name]} + ({name}))"
    return f"(V, value, {', '.join(parameters)}) PUT(V, value, {index})"


class Alone:
    """One form of a kernel, built on a device. ``store`` is a ``plain_store``.

    With ``adds``, each store adds to the stored value. Elements that are stored twice, or not at all, then show in the
    result.

    Raises:
        DeviceError: the device's compiler refuses the kernel.
    """

    def __init__(self, device: Device, call: TemplateCall, store: str, *, adds: bool = False) -> None:
        self.device, self.call = device, call
        parameters = "".join(f"const __global float *{name}_, " for name in call.operands)
        sizes = "".join(f", const int {name}_" for name in call.sizes)
        prologue = " ".join(f"const __global float *{name} = {name}_;" for name in call.operands)
        vectors = resource("opencl/vectors.cl").read_text("utf-8")
        preamble = (
            "#define KERNEL_NAME alone\n"
            f"#define KERNEL_PARAMETERS {parameters}__global float *result_{sizes}\n"
            f"#define KERNEL_ARGUMENTS {', '.join(f'{name}_' for name in (*call.operands, 'result', *call.sizes))}\n"
            f"#define KERNEL_PROLOGUE {prologue}\n"
            f"{_STORES.replace('OPERATOR', '+=' if adds else '=')}#define STORE{store}\n"
        )
        preamble += "".join(f"#define {name} {value}\n" for name, value in call.defines.items())
        preamble += "".join(f"#define {name} {name}_\n" for name in call.sizes)
        preamble += "".join(f"#define MEMORY_{name} float\n" for name in call.operands)
        with compiler_warnings_ignored(), device_errors(f"building {call.source}"):
            self._kernel = build_program(device.context, vectors + preamble + call.text(), OPTIONS).alone
        self._buffers: tuple[cl.Buffer, ...] = ()

    def bind(self, *buffers: cl.Buffer) -> None:
        """Sets the buffers of the operands, followed by that of the result."""
        self._buffers = buffers  # a bound argument does not keep its buffer alive
        self._kernel.set_args(*buffers, *map(np.int32, self.call.sizes.values()))

    def enqueue(self) -> None:
        """Enqueues the kernel with the bound buffers."""
        cl.enqueue_nd_range_kernel(self.device.queue, self._kernel, self.call.global_size, self.call.local_size)

    def run(self, shape: Sequence[int], *operands: cl.Buffer) -> np.ndarray:
        """The result of ``shape`` for operands in buffers. Elements that are not stored are 0."""
        result = np.zeros(prod(shape), np.float32)
        buffer = upload(self.device, result)
        self.bind(*operands, buffer)
        self.enqueue()
        cl.enqueue_copy(self.device.queue, result, buffer)
        return result.reshape(shape)


def upload(device: Device, array: np.ndarray) -> cl.Buffer:
    """A buffer with the values of the array as float32."""
    flags = cl.mem_flags.READ_WRITE | cl.mem_flags.COPY_HOST_PTR
    return cl.Buffer(device.context, flags, hostbuf=np.ascontiguousarray(array, np.float32))
