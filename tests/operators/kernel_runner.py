"""Problems of the hand-written kernels, with what goes before each kernel, for tests and benchmarks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from graphdl.compiler.program import Target
from graphdl.operators.kernels.convolution import CONVOLUTION, INPUT_GRADIENT
from graphdl.operators.kernels.family import Family, Operand, predicted
from graphdl.operators.kernels.geometry import ConvolutionProblem, Padding
from graphdl.operators.kernels.matmul import MATMUL, MatrixProduct
from graphdl.operators.kernels.packing import FILTER_PACKING, PANEL_PACKING
from graphdl.operators.kernels.template import TemplateCall
from graphdl.operators.kernels.weight_gradient import WEIGHT_GRADIENT
from graphdl.operators.kernels.winograd import WINOGRAD, WINOGRAD_FILTERS
from graphdl.operators.kernels.winograd_weights import WINOGRAD_WEIGHTS
from graphdl.runtime.alone import Alone, plain_store, upload
from graphdl.runtime.devices import open_device
from graphdl.runtime.opencl import Device

# The kernels fit into the work-groups of the device that runs them.
RUNNER = open_device().target
CPU = Target("cpu", vector_width=16, compute_units=2)
NARROW_CPU = Target("cpu", vector_width=8, compute_units=3)
GPU = Target("gpu", vector_width=4, compute_units=8, max_work_group=min(256, RUNNER.max_work_group))
SMALL_GPU = Target("gpu", vector_width=1, compute_units=2, max_work_group=min(64, RUNNER.max_work_group))

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


def packed_matmul(target: Target, *, m: int, n: int, k: int, a_strides: Strides, b_strides: Strides) -> Kernel:
    """A product whose second factor is packed beforehand."""
    problem = MatrixProduct(1, m, n, k, packed=True)
    candidate = predicted(MATMUL, problem, target)
    packing = MATMUL.packing(problem, candidate, target)
    assert packing is not None
    return Kernel(
        MATMUL.call(problem, candidate, target, (Operand(0, a_strides), Operand(0, (1,)))),
        PANEL_PACKING.call(packing, None, target, (Operand(0, b_strides),)),
        packing.size,
    )


def convolution(target: Target, **problem: Any) -> Kernel:
    return _predicted(CONVOLUTION, ConvolutionProblem(**problem), target)


def convolution_input_gradient(target: Target, **problem: Any) -> Kernel:
    return _predicted(INPUT_GRADIENT, ConvolutionProblem(**problem), target)


def convolution_weight_gradient(target: Target, **problem: Any) -> Kernel:
    return _predicted(WEIGHT_GRADIENT, ConvolutionProblem(**problem), target)


def chosen(family: Family[Any, Any], target: Target, **problem: Any) -> Kernel:
    """A convolution or one of its gradients by the method that the compiler chooses for filters that change."""
    sizes = ConvolutionProblem(**problem)
    if family is WEIGHT_GRADIENT and WEIGHT_GRADIENT.is_slower(sizes, target):
        form = predicted(WINOGRAD_WEIGHTS, sizes, target)
        return Kernel(WINOGRAD_WEIGHTS.call(sizes, form, target), splits=form.splits)
    if family is CONVOLUTION or family is INPUT_GRADIENT:
        transformed = family.transformed(sizes, False, target)
        if transformed is not None:
            tiling = predicted(WINOGRAD, transformed, target)
            filters = WINOGRAD.filters(transformed, tiling, target)
            pack = WINOGRAD_FILTERS.call(filters, None, target)
            return Kernel(WINOGRAD.call(transformed, tiling, target), pack, filters.size)
    return _predicted(family, sizes, target)


def matmul_store(m: int, n: int) -> str:
    return plain_store("bmn", {"b": 0, "m": m, "n": n})


def image_store(shape: Sequence[int]) -> str:
    return plain_store("nyxc", dict(zip("nyxc", shape, strict=True)))


def weight_store(shape: Sequence[int]) -> str:
    """[split, ky, kx, i, o]: o last, so that vectors can be stored."""
    filters, channels, height, width = shape
    memory = {"s": 0, "ky": height, "kx": width, "i": channels, "o": filters}
    return plain_store(("s", "o", "i", "ky", "kx"), memory)


PACK_STORE = plain_store(["position"], {"position": 0})


def alone(device: Device, call: TemplateCall, store: str) -> Alone:
    """A kernel by itself, which adds what it stores: an element that is stored twice shows.

    CPUs' forms, whose loops are long, are skipped on a device that ends loops: such a device gets the GPUs' forms.
    """
    if device.info.loop_turns and "tile.cl" in call.prelude:
        pytest.skip(f"{device.info.name} ends loops after {device.info.loop_turns} turns: no CPU's form runs on it")
    return Alone(device, call, store, adds=True)


def run(device: Device, kernel: Kernel, store: str, shape: Sequence[int], *operands: np.ndarray) -> np.ndarray:
    """The output of a kernel, after its ``pack`` where it has one (the last operand is packed)."""
    buffers = [upload(device, operand) for operand in operands]
    if kernel.pack is not None:
        packed = alone(device, kernel.pack, PACK_STORE).run((kernel.packed_size,), buffers[-1])
        buffers[-1] = upload(device, packed)
    return alone(device, kernel.call, store).run(shape, *buffers)
