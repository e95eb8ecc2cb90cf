"""Runs one kernel template with a plain store, as the compiler's launches do, for tests and benchmarks."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np
import pyopencl as cl

from graphdl.compiler.program import Target
from graphdl.operators.kernels.convolution import CONVOLUTION, INPUT_GRADIENT
from graphdl.operators.kernels.family import Family, Operand, predicted
from graphdl.operators.kernels.geometry import ConvolutionProblem, Padding
from graphdl.operators.kernels.matmul import MATMUL, MatrixProduct
from graphdl.operators.kernels.packing import FILTER_PACKING
from graphdl.operators.kernels.template import TemplateCall
from graphdl.operators.kernels.weight_gradient import WEIGHT_GRADIENT
from graphdl.runtime.opencl import Device

CPU = Target("cpu", vector_width=16, compute_units=2)
NARROW_CPU = Target("cpu", vector_width=8, compute_units=3)
GPU = Target("gpu", vector_width=4, compute_units=8)
SMALL_GPU = Target("gpu", vector_width=1, compute_units=2, max_work_group=64)

STORES = """
typedef float loose2 __attribute__((ext_vector_type(2), aligned(4)));
typedef float loose4 __attribute__((ext_vector_type(4), aligned(4)));
typedef float loose8 __attribute__((ext_vector_type(8), aligned(4)));
typedef float loose16 __attribute__((ext_vector_type(16), aligned(4)));
#define PUT_1(value, pointer) *(pointer) += (value)
#define PUT_2(value, pointer) *(__global loose2 *)(pointer) += (value)
#define PUT_4(value, pointer) *(__global loose4 *)(pointer) += (value)
#define PUT_8(value, pointer) *(__global loose8 *)(pointer) += (value)
#define PUT_16(value, pointer) *(__global loose16 *)(pointer) += (value)
#define PUT(V, value, index) PUT_##V(value, result_ + (index))
"""
"""Stores add, so that an element that is stored twice, or not at all, shows: results start from 0."""


class Runner:
    """A template, built. ``shape`` is the output's, and ``store`` the formula of an element's index in it."""

    def __init__(self, device: Device, call: TemplateCall, store: str, accumulate: bool = True) -> None:
        self.device, self.call = device, call
        parameters = ", ".join(f"const __global float *{name}_" for name in call.operands)
        prologue = " ".join(f"const __global float *{name} = {name}_;" for name in call.operands)
        preamble = (
            "#define KERNEL_NAME run\n"
            f"#define KERNEL_PARAMETERS {parameters}, __global float *result_\n"
            f"#define KERNEL_PROLOGUE {prologue}\n"
            f"{STORES if accumulate else STORES.replace('+=', '=')}#define STORE{store}\n"
        )
        preamble += "".join(f"#define {name} {value}\n" for name, value in call.defines.items())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", cl.CompilerWarning)  # Intel's compiler remarks on what goes well
            self.kernel = cl.Program(device.context, preamble + call.text()).build().run

    def bind(self, *buffers: cl.Buffer) -> None:
        self.buffers = buffers  # a bound argument does not keep its buffer alive
        self.kernel.set_args(*buffers)

    def enqueue(self) -> None:
        cl.enqueue_nd_range_kernel(self.device.queue, self.kernel, self.call.global_size, self.call.local_size)


Strides = tuple[int, int, int]


@dataclass(frozen=True)
class Kernel:
    """A call, and what goes with it."""

    call: TemplateCall
    pack: TemplateCall | None = None
    """Packs the last operand."""
    packed_size: int = 0
    """Floats that ``pack`` writes."""
    pad_gradient: Padding = ((0, 0), (0, 0))
    splits: int = 1


def _predicted(family: Family[Any, Any], problem: Any, target: Target, operands: Sequence[Operand] = ()) -> Kernel:
    candidate = predicted(family, problem, target)
    kernel = Kernel(family.call(problem, candidate, target, operands))
    if family is CONVOLUTION or family is INPUT_GRADIENT:
        packing = family.packing(problem, candidate, target)
        if packing is not None:
            kernel = replace(kernel, pack=FILTER_PACKING.call(packing, None, target), packed_size=packing.size)
    if family is INPUT_GRADIENT:
        kernel = replace(kernel, pad_gradient=INPUT_GRADIENT.gradient_padding(problem, target))
    if family is WEIGHT_GRADIENT:
        kernel = replace(kernel, splits=WEIGHT_GRADIENT.splits(problem, candidate, target))
    return kernel


def matmul(target: Target, *, batch: int, m: int, n: int, k: int, a_strides: Strides, b_strides: Strides) -> Kernel:
    operands = (Operand(0, a_strides), Operand(0, b_strides))
    return _predicted(MATMUL, MatrixProduct(batch, m, n, k), target, operands)


def convolution(target: Target, **problem: Any) -> Kernel:
    return _predicted(CONVOLUTION, ConvolutionProblem(**problem), target)


def convolution_input_gradient(target: Target, **problem: Any) -> Kernel:
    return _predicted(INPUT_GRADIENT, ConvolutionProblem(**problem), target)


def convolution_weight_gradient(target: Target, **problem: Any) -> Kernel:
    return _predicted(WEIGHT_GRADIENT, ConvolutionProblem(**problem), target)


def upload(device: Device, array: np.ndarray) -> cl.Buffer:
    flags = cl.mem_flags.READ_WRITE | cl.mem_flags.COPY_HOST_PTR
    return cl.Buffer(device.context, flags, hostbuf=np.ascontiguousarray(array, np.float32))


def matmul_store(m: int, n: int) -> str:
    return f"(V, value, b, m, n) PUT(V, value, ((size_t)(b) * {m} + (m)) * {n} + (n))"


def image_store(shape: Sequence[int]) -> str:
    _, height, width, channels = shape
    return f"(V, value, n, y, x, c) PUT(V, value, (((size_t)(n) * {height} + (y)) * {width} + (x)) * {channels} + (c))"


def weight_store(shape: Sequence[int]) -> str:
    """[split, ky, kx, i, o]: o last, so that vectors can be stored."""
    filters, channels, height, width = shape
    return (
        f"(V, value, s, o, i, ky, kx) PUT(V, value, "
        f"((((size_t)(s) * {height} + (ky)) * {width} + (kx)) * {channels} + (i)) * {filters} + (o))"
    )


PACK_STORE = "(V, value, position) PUT(V, value, position)"


def run(device: Device, kernel: Kernel, store: str, shape: Sequence[int], *operands: np.ndarray) -> np.ndarray:
    """The output of a kernel, after its ``pack`` where it has one (the last operand is packed)."""
    buffers = [upload(device, operand) for operand in operands]
    if kernel.pack is not None:
        packed = upload(device, np.zeros(kernel.packed_size))
        packer = Runner(device, kernel.pack, PACK_STORE)
        packer.bind(buffers[-1], packed)
        packer.enqueue()
        buffers[-1] = packed
    result = np.zeros(prod(shape), np.float32)
    buffer = upload(device, result)
    runner = Runner(device, kernel.call, store)
    runner.bind(*buffers, buffer)
    runner.enqueue()
    cl.enqueue_copy(device.queue, result, buffer)
    return result.reshape(shape)
