"""Winograd's method: its kernels, its errors, and where it is chosen."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import kernel_runner as kr
import numpy as np
import pytest
import torch
from torch.nn import functional

from graphdl.compiler.build import build
from graphdl.operators.convolution import Geometry, convolution, input_gradient, weight_gradient
from graphdl.operators.kernels.geometry import ConvolutionProblem, Padding
from graphdl.operators.kernels.template import RegisterTile
from graphdl.operators.kernels.winograd import WINOGRAD, WINOGRAD_FILTERS, Tiling, winograd_problem
from graphdl.operators.kernels.winograd_weights import WINOGRAD_WEIGHTS, GradientTiling
from graphdl.operators.structure import pad, slice_
from graphdl.operators.tensor import Tensor, feed
from graphdl.runtime.alone import upload
from graphdl.runtime.executor import Executor
from graphdl.runtime.variables import VariableStore

UNIT = Geometry((1, 1), (1, 1), 1)
TARGETS = {"eight lanes": kr.NARROW_CPU, "sixteen lanes": kr.CPU, "four lanes": kr.Target("cpu", 4, 2)}


def transformed(
    device: kr.Device,
    p: ConvolutionProblem,
    target: kr.Target,
    form: Tiling,
    gradient: bool,
    x: Any,
    w: Any,
    outputs: int = 4,
) -> np.ndarray:
    """The result of both kernels for channels-last data, channels-last itself. Every element must be stored once."""
    problem = winograd_problem(p, gradient=gradient, outputs=outputs)
    assert problem is not None
    filters = WINOGRAD.filters(problem, form, target)
    packed = kr.alone(device, WINOGRAD_FILTERS.call(filters, None, target), kr.PACK_STORE).run(
        (filters.size,), upload(device, w)
    )
    shape = (problem.batch, *problem.output, problem.columns)
    kernel = kr.alone(device, WINOGRAD.call(problem, form, target), kr.image_store(shape))
    return kernel.run(shape, upload(device, x), upload(device, packed))


def drawn(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)), dtype=torch.float64)


def last(x: torch.Tensor) -> np.ndarray:
    return x.permute(0, 2, 3, 1).contiguous().numpy()


SIZES = {
    "one tile": ((1, 8, 6, 6, 8), (4, 1, 4, 8, 1)),
    "one pixel": ((5, 3, 3, 3, 1), (2, 1, 4, 3, 1)),
    "odd": ((2, 5, 9, 8, 18), (3, 1, 6, 5, 2)),
    "odd channels in chunks": ((3, 37, 13, 9, 50), (6, 1, 12, 16, 2)),
    "fewer tiles than rows": ((1, 16, 5, 7, 20), (6, 2, 6, 16, 1)),
    "chunks and spans": ((2, 48, 15, 12, 70), (4, 2, 8, 32, 1)),
    "narrow": ((1, 16, 31, 3, 33), (5, 1, 5, 16, 3)),
}
"""Batch, channels, height and width with the padding, filters; and the rows and vectors of the register tile, the tiles
of a work-item, the channels of a chunk, the panels of a work-item."""


TILES = pytest.mark.parametrize("outputs", [4, 2], ids=["four", "two"])


@TILES
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", SIZES)
def test_forward(device: kr.Device, name: str, target: str, outputs: int) -> None:
    (n, c, height, width, filters), (rows, vectors, *rest) = SIZES[name]
    x, w = drawn(n, c, height, width), drawn(filters, c, 3, 3)
    p = ConvolutionProblem(n, c, height, width, filters, (3, 3), (1, 1), (1, 1), 1)
    form = Tiling(RegisterTile(rows, vectors), *rest)
    found = transformed(device, p, TARGETS[target], form, False, last(x), w.numpy(), outputs)
    np.testing.assert_allclose(found, last(functional.conv2d(x, w)), rtol=0, atol=2e-5 * c**0.5)


@TILES
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("padding", [((0, 0), (0, 0)), ((1, 1), (1, 1)), ((2, 0), (3, 1))], ids=str)
@pytest.mark.parametrize("name", ["odd", "odd channels in chunks"])
def test_input_gradient(device: kr.Device, name: str, padding: Padding, target: str, outputs: int) -> None:
    (n, c, height, width, filters), _ = SIZES[name]
    g, w = drawn(n, filters, height - 2, width - 2), drawn(filters, c, 3, 3)
    p = ConvolutionProblem(n, c, height, width, filters, (3, 3), (1, 1), (1, 1), 1, padding)
    form = Tiling(RegisterTile(3, 2), 6, min(filters, 32), 1)
    found = transformed(device, p, TARGETS[target], form, True, last(g), w.numpy(), outputs)
    (top, bottom), (left, right) = padding
    wanted = functional.conv_transpose2d(g, w)[:, :, top : height - bottom, left : width - right]
    np.testing.assert_allclose(found, last(wanted), rtol=0, atol=2e-5 * filters**0.5)


WEIGHTS = {
    "one tile": ((1, 8, 6, 6, 8), (4, 1, 8, 8, 1, 1)),
    "one pixel": ((5, 3, 3, 3, 1), (2, 1, 4, 16, 2, 2)),
    "odd": ((2, 5, 9, 8, 18), (3, 1, 6, 16, 5, 3)),
    "odd channels in blocks": ((3, 37, 13, 9, 50), (4, 2, 16, 32, 4, 2)),
    "fewer tiles than parts of a chunk": ((1, 16, 5, 7, 20), (6, 2, 18, 32, 8, 1)),
    "several chunks": ((2, 48, 15, 12, 70), (4, 2, 32, 64, 5, 2)),
    "narrow": ((1, 16, 31, 3, 33), (8, 1, 16, 48, 3, 4)),
}
"""As ``SIZES``; the last numbers are the rows and vectors of the register tile, the channels and filters of a
work-item, the tiles of a chunk, and the parts of the sum."""


def weights_transformed(
    device: kr.Device, p: ConvolutionProblem, target: kr.Target, form: GradientTiling, x: Any, g: Any
) -> np.ndarray:
    """The gradient of the filters, the sum of its parts. Every element of a part must be stored once."""
    filters, channels = p.filters, p.channels
    kernel = kr.alone(device, WINOGRAD_WEIGHTS.call(p, form, target), kr.weight_store((filters, channels, 3, 3)))
    parts = kernel.run((form.splits, 3, 3, channels, filters), upload(device, x), upload(device, g))
    assert all(np.abs(part).max() > 0 for part in parts)
    return parts.astype(np.float64).sum(0).transpose(3, 2, 0, 1)


def gradient_of_filters(x: torch.Tensor, g: torch.Tensor) -> np.ndarray:
    return functional.conv2d(x.transpose(0, 1), g.transpose(0, 1)).transpose(0, 1).numpy()


@TILES
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", WEIGHTS)
def test_weight_gradient(device: kr.Device, name: str, target: str, outputs: int) -> None:
    (n, c, height, width, filters), (rows, vectors, channels, *rest) = WEIGHTS[name]
    x, g = drawn(n, c, height, width), drawn(n, filters, height - 2, width - 2)
    p = ConvolutionProblem(n, c, height, width, filters, (3, 3), (1, 1), (1, 1), 1)
    form = GradientTiling(RegisterTile(rows, vectors), channels, *rest, outputs)
    panel = vectors * TARGETS[target].vector_width
    form = replace(form, filters=-(-form.filters // panel) * panel)
    found = weights_transformed(device, p, TARGETS[target], form, last(x), last(g))
    np.testing.assert_allclose(found, gradient_of_filters(x, g), rtol=0, atol=2e-5 * g[:, 0].numel() ** 0.5)


# ------------------------------------------------------------------------------------------------------------- errors


def direct(device: kr.Device, p: ConvolutionProblem, x: Any, w: Any) -> np.ndarray:
    shape = (p.batch, *p.output, p.filters)
    return kr.run(device, kr._predicted(kr.CONVOLUTION, p, kr.NARROW_CPU), kr.image_store(shape), shape, x, w)


DATA = {
    "normal": lambda x: x,
    "positive": lambda x: x.abs(),
    "far from zero": lambda x: x + 100,
    "with large pixels": lambda x: torch.where(torch.arange(x.shape[3]) % 7 == 3, x * 1e4, x),
    "large on the left": lambda x: x * 10.0 ** -torch.arange(x.shape[3]),
}


@TILES
@pytest.mark.parametrize("channels", [4, 64, 512])
@pytest.mark.parametrize("data", DATA)
def test_errors_are_bounded_by_the_products_of_a_tile(
    device: kr.Device, data: str, channels: int, outputs: int
) -> None:
    """The bound is that of the direct sum but for a factor, with the largest pixel of the tile's patch for each pixel.

    Of a sum in the kernel's order, errors are at most (channels + a few) units in the last place; they are much smaller
    because they cancel.
    """
    x = DATA[data](drawn(2, channels, 14, 14).float().double()).float().double()
    w = drawn(16, channels, 3, 3).float().double()
    p = ConvolutionProblem(2, channels, 14, 14, 16, (3, 3), (1, 1), (1, 1), 1)
    form = Tiling(RegisterTile(6, 2), 12, min(channels, 64), 1)
    found = transformed(device, p, kr.NARROW_CPU, form, False, last(x), w.numpy(), outputs)
    error = np.abs(found - last(functional.conv2d(x, w)))
    largest = functional.max_pool2d(x.abs(), outputs + 2, outputs)
    largest = largest.repeat_interleave(outputs, 2).repeat_interleave(outputs, 3)
    products = last(torch.einsum("ncyx,oc->noyx", largest, w.abs().sum((2, 3))))
    assert np.all(error <= 5e-7 * products)


@TILES
@pytest.mark.parametrize("channels", [16, 256])
def test_errors_are_about_those_of_the_direct_sum(device: kr.Device, channels: int, outputs: int) -> None:
    x, w = drawn(2, channels, 18, 18).float().double(), drawn(32, channels, 3, 3).float().double()
    p = ConvolutionProblem(2, channels, 18, 18, 32, (3, 3), (1, 1), (1, 1), 1)
    wanted = last(functional.conv2d(x, w))
    form = Tiling(RegisterTile(6, 2), 12, 16, 2)
    found = transformed(device, p, kr.NARROW_CPU, form, False, last(x), w.numpy(), outputs)
    errors = [np.abs(each - wanted) for each in (found, direct(device, p, last(x), w.numpy()))]
    scale = float(np.sqrt(np.mean(wanted**2)))
    assert errors[0].max() < 3e-5 * scale
    assert np.sqrt(np.mean(errors[0] ** 2)) < 5 * np.sqrt(np.mean(errors[1] ** 2))


@TILES
@pytest.mark.parametrize("data", DATA)
def test_errors_of_weight_gradients_are_bounded_by_the_products_of_tiles(
    device: kr.Device, data: str, outputs: int
) -> None:
    """As above, with the largest pixels of a patch of the data and of a tile of the output's gradient."""
    x = DATA[data](drawn(4, 12, 14, 14).float().double()).float().double()
    g = drawn(4, 16, 12, 12).float().double()
    p = ConvolutionProblem(4, 12, 14, 14, 16, (3, 3), (1, 1), (1, 1), 1)
    form = GradientTiling(RegisterTile(6, 2), 12, 16, 12, 2, outputs)
    error = np.abs(weights_transformed(device, p, kr.NARROW_CPU, form, last(x), last(g)) - gradient_of_filters(x, g))
    largest = functional.max_pool2d(x.abs(), outputs + 2, outputs)
    tiles = functional.avg_pool2d(g.abs(), outputs, divisor_override=1)
    products = torch.einsum("nctu,notu->oc", largest, tiles)[:, :, None, None].numpy()
    assert np.all(error <= 5e-7 * products)


# ------------------------------------------------------------------------------------------------------------- choice


def kernels(y: Tensor, target: kr.Target) -> list[str]:
    program = build({"y": y}, {}, target)
    return [launch.form.family.name for launch in program.launches if launch.form is not None]


def forward(n: int, c: int, size: int, filters: int, taps: int = 3, geometry: Geometry = UNIT) -> Tensor:
    x = pad(feed("x", (n, c, size, size)), (0, 0, 1, 1), (0, 0, 1, 1))
    return convolution(x, feed("w", (filters, c // geometry.groups, taps, taps)), geometry)


def backward(n: int, c: int, size: int, filters: int) -> Tensor:
    whole = (n, c, size + 2, size + 2)
    g, w = feed("g", (n, filters, size, size)), feed("w", (filters, c, 3, 3))
    return slice_(input_gradient(g, w, whole, UNIT), (0, 0, 1, 1), (1, 1, 1, 1), (n, c, size, size))


def of_filters(n: int, c: int, size: int, filters: int) -> Tensor:
    x, g = feed("x", (n, c, size + 2, size + 2)), feed("g", (n, filters, size, size))
    return weight_gradient(x, g, (filters, c, 3, 3), UNIT)


@pytest.mark.parametrize(
    "sizes", [(8, 64, 56, 64), (1, 128, 28, 128), (8, 256, 14, 256), (128, 16, 32, 16), (4, 512, 28, 512)], ids=str
)
def test_is_chosen_where_products_are_most_of_the_work(sizes: tuple[int, int, int, int]) -> None:
    assert kernels(forward(*sizes), kr.NARROW_CPU) == ["winograd_filters", "winograd"]
    assert kernels(backward(*sizes), kr.NARROW_CPU) == ["winograd_filters", "winograd"]
    assert kernels(of_filters(*sizes), kr.NARROW_CPU) == ["winograd_weights", "unpack_filters"]


def test_is_chosen_for_many_filters_of_few_channels_if_the_direct_kernel_mostly_copies() -> None:
    assert kernels(of_filters(4, 3, 224, 64), kr.NARROW_CPU) == ["winograd_weights", "unpack_filters"]


@pytest.mark.parametrize(
    "y",
    [
        forward(1, 512, 7, 512),
        forward(4, 3, 224, 64),
        forward(64, 1, 28, 20, taps=5),
        forward(8, 64, 56, 64, geometry=Geometry((2, 2), (1, 1), 1)),
        forward(8, 64, 56, 64, geometry=Geometry((1, 1), (2, 2), 1)),
        forward(8, 64, 56, 64, geometry=Geometry((1, 1), (1, 1), 2)),
    ],
    ids=["large filters", "few channels", "5 x 5", "stride", "dilation", "groups"],
)
def test_is_not_chosen_elsewhere(y: Tensor) -> None:
    assert kernels(y, kr.NARROW_CPU) == ["pack_filters", "convolution"]


@pytest.mark.parametrize("sizes", [(1, 512, 7, 512), (128, 3, 32, 16)], ids=["large filters", "few channels"])
def test_is_not_chosen_for_weight_gradients_elsewhere(sizes: tuple[int, int, int, int]) -> None:
    assert kernels(of_filters(*sizes), kr.NARROW_CPU) == ["weight_gradient", "unpack_filters"]


def test_a_gpu_has_its_own_kernel() -> None:
    assert kernels(forward(8, 64, 56, 64), kr.GPU) == ["convolution"]
    assert kernels(of_filters(8, 64, 56, 64), kr.GPU) == ["weight_gradient"]


# ---------------------------------------------------------------------------------------------------------- in programs


def test_in_a_program(device: kr.Device) -> None:
    """Forward with what follows, and both gradients, at odd sizes. A second run gives the same bits."""
    if device.info.loop_turns:
        pytest.skip(f"{device.info.name} ends loops after {device.info.loop_turns} turns: no CPU's form runs on it")
    n, c, height, width, filters = 9, 48, 21, 18, 61
    x, w, g = drawn(n, c, height, width), drawn(filters, c, 3, 3), drawn(n, filters, height, width)
    padded = pad(feed("x", (n, c, height, width)), (0, 0, 1, 1), (0, 0, 1, 1))
    y = convolution(padded, feed("w", (filters, c, 3, 3)), UNIT) * 2.0 + feed("g", (n, filters, height, width))
    dx = input_gradient(feed("g", (n, filters, height, width)), feed("w", (filters, c, 3, 3)), padded.shape, UNIT)
    dx = slice_(dx, (0, 0, 1, 1), (1, 1, 1, 1), (n, c, height, width))
    dw = weight_gradient(padded, feed("g", (n, filters, height, width)), (filters, c, 3, 3), UNIT)
    program = build({"y": y, "dx": dx, "dw": dw}, {}, kr.NARROW_CPU)
    names = {launch.form.family.name for launch in program.launches if launch.form is not None}
    assert names == {"winograd", "winograd_filters", "winograd_weights", "unpack_filters"}
    executor = Executor(program, device, VariableStore(device))
    feeds = {name: value.numpy().astype(np.float32) for name, value in {"x": x, "w": w, "g": g}.items()}
    around = functional.pad(x, (1, 1, 1, 1))
    wanted = {
        "y": functional.conv2d(around, w) * 2 + g,
        "dx": functional.conv_transpose2d(g, w)[:, :, 1:-1, 1:-1],
        "dw": torch.from_numpy(gradient_of_filters(around, g)),
    }
    found = []
    for _ in range(2):
        executor.spoil()
        executor.run(feeds)
        found.append({name: executor.fetch(name).copy() for name in wanted})
    for name, exact in wanted.items():
        np.testing.assert_array_equal(found[0][name], found[1][name])
        np.testing.assert_allclose(found[0][name], exact.numpy(), rtol=0, atol=5e-4)
