"""Every hand-written kernel against PyTorch in double precision, at sizes that are awkward for its tiles."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import kernel_runner as kr
import numpy as np
import pytest
import torch
from torch.nn import functional

from graphdl.compiler.build import build
from graphdl.operators.convolution import weight_gradient
from graphdl.operators.kernels.family import Operand
from graphdl.operators.kernels.geometry import Geometry
from graphdl.operators.kernels.row_product import ROW_PRODUCT, Groups, RowProduct, Streams
from graphdl.operators.kernels.unpacking import FILTER_UNPACKING, Unpacking
from graphdl.operators.matmul import matmul
from graphdl.operators.structure import slice_, transpose
from graphdl.operators.tensor import feed, read
from graphdl.runtime.alone import plain_store
from graphdl.runtime.executor import Executor
from graphdl.runtime.variables import VariableStore

TARGETS = {"cpu": kr.CPU, "narrow cpu": kr.NARROW_CPU, "gpu": kr.GPU, "small gpu": kr.SMALL_GPU}


def close(found: np.ndarray, wanted: np.ndarray, terms: int) -> None:
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5 * terms**0.5)


def changed(kernel: kr.Kernel, **changes: Any) -> kr.Kernel:
    """The kernel with another call."""
    return replace(kernel, call=replace(kernel.call, **changes))


def laid_out(matrix: np.ndarray, layout: str) -> tuple[np.ndarray, tuple[int, int, int]]:
    """A layout of matrices and its strides: r(ow-major), c(olumn-major), s(trided: every other element)."""
    _, rows, columns = matrix.shape
    if layout == "r":
        return matrix, (rows * columns, columns, 1)
    if layout == "c":
        return matrix.swapaxes(1, 2), (rows * columns, 1, rows)
    return np.repeat(matrix, 2, 2), (rows * columns * 2, columns * 2, 2)


def check_matmul(device: kr.Device, target: kr.Target, sizes: tuple[int, ...], form: str, **overrides: int) -> None:
    """``form`` names the layouts of A and B, see ``laid_out``."""
    batch, m, n, k = sizes
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((batch, m, k)), rng.standard_normal((batch, k, n))

    (a_data, a_strides), (b_data, b_strides) = laid_out(a, form[0]), laid_out(b, form[1])
    kernel = kr.matmul(target, batch=batch, m=m, n=n, k=k, a_strides=a_strides, b_strides=b_strides)
    kernel = changed(kernel, defines={**kernel.call.defines, **overrides})
    found = kr.run(device, kernel, kr.matmul_store(m, n), (batch, m, n), a_data, b_data)
    close(found, a @ b, k)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("form", ["rr", "rc", "cr", "ss"])
def test_matmul_of_any_layout(device: kr.Device, target: str, form: str) -> None:
    check_matmul(device, TARGETS[target], (2, 31, 33, 37), form)


@pytest.mark.parametrize("target", ["cpu", "gpu"])
@pytest.mark.parametrize(
    "sizes",
    [(1, 1, 1, 1), (1, 1, 32, 7), (3, 1, 10, 33), (1, 64, 10, 32), (1, 33, 1, 65), (1, 32, 48, 31), (5, 7, 16, 4)],
    ids=str,
)
def test_matmul_of_any_size(device: kr.Device, target: str, sizes: tuple[int, ...]) -> None:
    check_matmul(device, TARGETS[target], sizes, "rr")
    check_matmul(device, TARGETS[target], sizes, "rc")


@pytest.mark.parametrize("form", ["rr", "cr", "rc"])
def test_matmul_in_chunks_of_depth(device: kr.Device, form: str) -> None:
    check_matmul(device, kr.CPU, (1, 40, 50, 100), form, DEPTH=32)


@pytest.mark.parametrize("form", ["rr", "cr"])
def test_matmul_with_copied_rows(device: kr.Device, form: str) -> None:
    check_matmul(device, kr.CPU, (1, 40, 50, 100), form, PACK_A=1)
    check_matmul(device, kr.CPU, (1, 40, 50, 100), form, PACK_A=1, DEPTH=48)


@pytest.mark.parametrize(
    ("sizes", "form"),
    [((1, 20, 300, 2100), "rr"), ((1, 1030, 290, 9), "cr"), ((1, 30, 70, 2100), "rc"), ((1, 261, 290, 300), "cr")],
    ids=str,
)
def test_matmul_with_far_apart_rows(device: kr.Device, sizes: tuple[int, ...], form: str) -> None:
    check_matmul(device, kr.CPU, sizes, form)


@pytest.mark.parametrize(("rows", "vectors"), [(1, 1), (1, 3), (5, 2), (14, 2), (28, 1), (6, 4)])
def test_matmul_with_any_tile(device: kr.Device, rows: int, vectors: int) -> None:
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((1, 31, 20)), rng.standard_normal((1, 20, 70))
    kernel = kr.matmul(kr.CPU, batch=1, m=31, n=70, k=20, a_strides=(0, 20, 1), b_strides=(0, 70, 1))
    spans = -(-70 // (16 * vectors * 2))
    tile = {"ROWS": rows, "VECTORS": vectors, "BLOCKS": 31, "SPAN": 2, "SPANS": spans}
    kernel = changed(kernel, defines={**kernel.call.defines, **tile}, global_size=(spans, 1))
    close(kr.run(device, kernel, kr.matmul_store(31, 70), (1, 31, 70), a, b), a @ b, 20)


@pytest.mark.parametrize("sizes", [(32, 70, 37), (33, 50, 1100), (1, 30, 40), (40, 16, 1)], ids=str)
@pytest.mark.parametrize("target", ["cpu", "narrow cpu"])
def test_matmul_of_packed_panels(device: kr.Device, target: str, sizes: tuple[int, int, int]) -> None:
    m, n, k = sizes
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((m, k)), rng.standard_normal((k, n))
    layouts = [(b, (0, n, 1)), (b.T, (0, 1, k)), (np.repeat(b, 2, 1), (0, 2 * n, 2))]
    for data, strides in layouts:
        kernel = kr.packed_matmul(TARGETS[target], m=m, n=n, k=k, a_strides=(0, k, 1), b_strides=strides)
        close(kr.run(device, kernel, kr.matmul_store(m, n), (1, m, n), a, data)[0], a @ b, k)


ROW_FORMS: dict[str, list[Streams | Groups]] = {
    "cpu": [Streams(8, 64, 1), Streams(4, 32, 3), Streams(1, 2048, 2)],
    "narrow cpu": [Streams(8, 64, 1), Streams(2, 16, 3)],
    "gpu": [Groups(32, 8, 1), Groups(8, 4, 3), Groups(4, 16, 1)],
    "small gpu": [Groups(8, 1, 1), Groups(1, 4, 2)],
}


@pytest.mark.parametrize("target", ROW_FORMS)
@pytest.mark.parametrize(
    ("sizes", "form"),
    [
        ((1, 1, 77, 131), "rr"), ((2, 3, 150, 67), "rc"), ((1, 8, 21, 40), "cr"), ((1, 5, 7, 300), "cc"),
        ((3, 2, 1, 65), "ss"), ((1, 7, 64, 1), "rr"), ((1, 8, 33, 70), "rc"),
    ],
    ids=str,
)  # fmt: skip
def test_products_of_few_rows(device: kr.Device, target: str, sizes: tuple[int, ...], form: str) -> None:
    batch, m, n, k = sizes
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((batch, m, k)), rng.standard_normal((batch, k, n))
    (a_data, a_strides), (b_data, b_strides) = laid_out(a, form[0]), laid_out(b, form[1])
    problem, operands = RowProduct(batch, m, n, k), (Operand(0, a_strides), Operand(0, b_strides))
    for candidate in ROW_FORMS[target]:
        call = ROW_PRODUCT.call(problem, candidate, TARGETS[target], operands)
        shape = (batch, candidate.splits, m, n)
        found = kr.run(device, kr.Kernel(call), kr.matmul_store(m, n), shape, a_data, b_data)
        close(found.sum(1), a @ b, k)


@pytest.mark.parametrize("target", TARGETS)
def test_a_product_of_few_rows_in_a_program(device: kr.Device, target: str) -> None:
    """The bias follows the last sum, also where the sum has several parts; columns may run backwards."""
    rng = np.random.default_rng(0)
    arrays = {"x": rng.standard_normal((3, 700)), "w": rng.standard_normal((700, 90)), "b": rng.standard_normal(90)}
    x, w, b = (feed(name, array.shape) for name, array in arrays.items())
    backwards = slice_(w, (0, 89), (1, -1), (700, 90))
    fetches = {"y": matmul(x, w) + b, "z": matmul(x, backwards) + b, "dx": matmul(matmul(x, w), transpose(w, (1, 0)))}
    many = replace(TARGETS[target], compute_units=40)
    program = build(fetches, {}, many)
    assert any(launch.kernel.startswith("matmul_rows") for launch in program.launches)
    executor = Executor(program, device, VariableStore(device))
    executor.run(arrays)
    product = arrays["x"] @ arrays["w"]
    close(executor.fetch("y"), product + arrays["b"], 700)
    close(executor.fetch("z"), product[:, ::-1] + arrays["b"], 700)
    close(executor.fetch("dx") / 30, product @ arrays["w"].T / 30, 700)


def test_a_batch_may_share_a_factor(device: kr.Device) -> None:
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((4, 9, 17)), rng.standard_normal((17, 20))
    for target in (kr.CPU, kr.GPU):
        kernel = kr.matmul(target, batch=4, m=9, n=20, k=17, a_strides=(9 * 17, 17, 1), b_strides=(0, 20, 1))
        close(kr.run(device, kernel, kr.matmul_store(9, 20), (4, 9, 20), a, b), a @ b, 17)


def problem(**changes: Any) -> dict[str, Any]:
    """Batch 2, 5 → 18 channels, 3×3 on 9×8 (padded)."""
    return {
        "batch": 2, "channels": 5, "height": 9, "width": 8, "filters": 18, "kernel": (3, 3), "stride": (1, 1),
        "dilation": (1, 1), "groups": 1, **changes,
    }  # fmt: skip


PROBLEMS = {
    "plain": problem(),
    "one channel": problem(channels=1, kernel=(5, 5), filters=20),
    "three channels": problem(channels=3, kernel=(7, 7), stride=(2, 2), filters=64, height=15, width=17),
    "one by one": problem(kernel=(1, 1), filters=33, channels=31),
    "one by one, stride": problem(kernel=(1, 1), stride=(2, 2), channels=32, filters=16),
    "stride": problem(stride=(2, 2), height=10, width=11),
    "stride 3": problem(stride=(3, 3), kernel=(2, 2), height=11, width=12),
    "uneven": problem(stride=(2, 1), kernel=(3, 2), dilation=(1, 2)),
    "dilation": problem(dilation=(2, 2)),
    "dilation and stride": problem(dilation=(2, 3), stride=(2, 2), height=12, width=13),
    "dilation shares a factor with stride": problem(dilation=(2, 2), stride=(4, 4), height=14, width=15),
    "groups": problem(channels=6, filters=9, groups=3),
    "groups and stride": problem(channels=34, filters=70, groups=2, stride=(2, 2)),
    "single pixel": problem(height=3, width=3, batch=5),
    "many channels": problem(channels=33, filters=50),
    "narrow": problem(width=3, height=31, batch=1),
}


CASES = [(target, name) for name in PROBLEMS for target in ("cpu", "gpu")]
CASES += [
    (target, name)
    for name in ("stride", "groups and stride", "many channels")
    for target in ("narrow cpu", "small gpu")
]


def reference(p: dict[str, Any]) -> tuple[torch.Tensor, ...]:
    """X, W, Y, G, dX, dW in PyTorch's layout and double precision."""
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64).requires_grad_()

    x = draw(p["batch"], p["channels"], p["height"], p["width"])
    w = draw(p["filters"], p["channels"] // p["groups"], *p["kernel"])
    y = functional.conv2d(x, w, stride=p["stride"], dilation=p["dilation"], groups=p["groups"])
    g = draw(*y.shape)
    dx, dw = torch.autograd.grad(y, (x, w), g)
    return x, w, y, g, dx, dw


def channels_last(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().permute(0, 2, 3, 1).numpy()


@pytest.mark.parametrize(("target", "name"), CASES)
def test_convolution(device: kr.Device, target: str, name: str) -> None:
    p = PROBLEMS[name]
    x, w, y, *_ = reference(p)
    wanted = channels_last(y)
    kernel = kr.convolution(TARGETS[target], **p)
    found = kr.run(device, kernel, kr.image_store(wanted.shape), wanted.shape, channels_last(x), w.detach().numpy())
    close(found, wanted, w[0].numel())


@pytest.mark.parametrize(("target", "name"), CASES)
def test_input_gradient(device: kr.Device, target: str, name: str) -> None:
    p = PROBLEMS[name]
    _, w, _, g, dx, _ = reference(p)
    kernel = kr.convolution_input_gradient(TARGETS[target], **p)
    gradient = np.pad(channels_last(g), ((0, 0), *kernel.pad_gradient, (0, 0)))
    wanted = channels_last(dx)
    found = kr.run(device, kernel, kr.image_store(wanted.shape), wanted.shape, gradient, w.detach().numpy())
    close(found, wanted, w[:, 0].numel())


def check_weight_gradient(
    device: kr.Device, target: kr.Target, p: dict[str, Any], splits: int = 0, **overrides: int
) -> None:
    x, _, _, g, _, dw = reference(p)
    kernel = kr.convolution_weight_gradient(target, **p)
    if splits:
        defines, size = {**kernel.call.defines, "SPLITS": splits}, (*kernel.call.global_size[:2], splits)
        kernel = replace(changed(kernel, defines=defines, global_size=size), splits=splits)
    kernel = changed(kernel, defines={**kernel.call.defines, **overrides})
    filters, channels, height, width = dw.shape
    shape = (kernel.splits, height, width, channels, filters)
    parts = kr.run(device, kernel, kr.weight_store(dw.shape), shape, channels_last(x), channels_last(g))
    assert all(np.abs(part).max() > 0 for part in parts)
    close(parts.sum(0).transpose(3, 2, 0, 1), dw.detach().numpy(), g[:, 0].numel())


@pytest.mark.parametrize(("target", "name"), CASES)
def test_weight_gradient(device: kr.Device, target: str, name: str) -> None:
    check_weight_gradient(device, TARGETS[target], PROBLEMS[name])


def test_weight_gradient_in_parts_and_chunks(device: kr.Device) -> None:
    check_weight_gradient(device, kr.CPU, problem(channels=33, filters=40), splits=3, LINES=2)


def test_weight_gradient_of_few_rows_computes_all_taps_at_once(device: kr.Device) -> None:
    few = problem(channels=7, filters=40, kernel=(2, 3), stride=(2, 1))
    assert kr.convolution_weight_gradient(kr.CPU, **few).call.defines["TAP_ROWS"] == 2
    check_weight_gradient(device, kr.CPU, few, splits=3, LINES=2)


def test_weight_gradient_copies_far_apart_pixels(device: kr.Device) -> None:
    many = problem(channels=520, filters=290, kernel=(1, 1), height=4, width=5)
    assert kr.convolution_weight_gradient(kr.CPU, **many).call.defines["COPY_X"] == 1
    check_weight_gradient(device, kr.CPU, many)
    check_weight_gradient(device, kr.CPU, problem(filters=70), COPY_X=1)


FILTERS_GRADIENTS = {
    "three by three": problem(channels=7, filters=37),
    "groups": problem(channels=6, filters=34, groups=2),
    "one by one": problem(channels=9, filters=20, kernel=(1, 1)),
    "many one by one": problem(channels=33, filters=261, kernel=(1, 1), height=5, width=4),
    "many one by one, stride": problem(channels=5, filters=260, kernel=(1, 1), stride=(2, 2)),
}


@pytest.mark.parametrize("target", ["cpu", "gpu"])
@pytest.mark.parametrize("name", FILTERS_GRADIENTS)
def test_weight_gradient_in_a_program(device: kr.Device, target: str, name: str) -> None:
    p = FILTERS_GRADIENTS[name]
    x, w, _, g, _, dw = reference(p)
    geometry = Geometry(p["stride"], p["dilation"], p["groups"])
    made = weight_gradient(feed("x", tuple(x.shape)), feed("g", tuple(g.shape)), tuple(w.shape), geometry)
    updated = read("w", tuple(w.shape)) - made * 0.5
    store = VariableStore(device)
    executor = Executor(build({}, {"w": updated}, TARGETS[target]), device, store)
    store["w"] = w.detach().numpy().astype(np.float32)
    executor.run({"x": x.detach().numpy().astype(np.float32), "g": g.detach().numpy().astype(np.float32)})
    close(store["w"], (w - 0.5 * dw).detach().numpy(), g[:, 0].numel())


@pytest.mark.parametrize("target", ["cpu", "narrow cpu"])
@pytest.mark.parametrize("sizes", [(1, 45, 33), (3, 200, 16), (2, 7, 5), (1, 1, 1), (2, 64, 40)], ids=str)
def test_partial_gradients_of_filters(device: kr.Device, target: str, sizes: tuple[int, int, int]) -> None:
    splits, positions, filters = sizes
    partial = np.random.default_rng(0).standard_normal(sizes)
    call = FILTER_UNPACKING.call(Unpacking(splits, positions, filters), None, TARGETS[target])
    store = plain_store(["o", "p"], {"o": 0, "p": positions})
    close(kr.run(device, kr.Kernel(call), store, (filters, positions), partial), partial.sum(0).T, splits)


@pytest.mark.parametrize(("images", "rows", "columns"), [(1, 1, 1), (2, 2, 3), (1, 7, 2), (2, 1, 6)])
def test_convolution_with_any_tile(device: kr.Device, images: int, rows: int, columns: int) -> None:
    p = problem(filters=16)
    x, w, y, *_ = reference(p)
    kernel = kr.convolution(kr.CPU, **p)
    items = -(-2 // images) * -(-7 // rows)
    tile = {"TILE_N": images, "TILE_Y": rows, "TILE_X": columns, "ROWS_PER_ITEM": 1}
    size = (items, *kernel.call.global_size[1:])
    kernel = changed(kernel, defines={**kernel.call.defines, **tile}, global_size=size)
    wanted = channels_last(y)
    found = kr.run(device, kernel, kr.image_store(wanted.shape), wanted.shape, channels_last(x), w.detach().numpy())
    close(found, wanted, w[0].numel())


@pytest.mark.parametrize("span", [1, 2, 3])
@pytest.mark.parametrize("name", ["convolution", "input gradient"])
def test_convolution_with_any_number_of_panels_each(device: kr.Device, name: str, span: int) -> None:
    p = problem(channels=300, filters=400, groups=2, stride=(2, 2), height=5, width=6)
    x, w, y, g, dx, _ = reference(p)
    if name == "convolution":
        kernel, wanted, data = kr.convolution(kr.CPU, **p), channels_last(y), channels_last(x)
    else:
        kernel = kr.convolution_input_gradient(kr.CPU, **p)
        wanted, data = channels_last(dx), np.pad(channels_last(g), ((0, 0), *kernel.pad_gradient, (0, 0)))
    assert kernel.call.defines["PANELS"] > 3
    items, _, phases = kernel.call.global_size
    size = (items, 2 * -(-kernel.call.defines["PANELS"] // span), phases)
    kernel = changed(kernel, defines={**kernel.call.defines, "SPAN": span}, global_size=size)
    found = kr.run(device, kernel, kr.image_store(wanted.shape), wanted.shape, data, w.detach().numpy())
    close(found, wanted, w[0].numel())


PADDINGS = [((1, 1), (1, 1)), ((2, 1), (0, 3)), ((3, 2), (2, 1))]


@pytest.mark.parametrize("target", ["cpu", "gpu"])
@pytest.mark.parametrize("padding", PADDINGS, ids=str)
@pytest.mark.parametrize("name", ["plain", "one by one, stride", "stride", "stride 3", "uneven", "dilation and stride"])
def test_input_gradient_without_the_padding(device: kr.Device, target: str, padding: Any, name: str) -> None:
    p = PROBLEMS[name]
    _, w, _, g, dx, _ = reference(p)
    kernel = kr.convolution_input_gradient(TARGETS[target], **p, padding=padding)
    gradient = np.pad(channels_last(g), ((0, 0), *kernel.pad_gradient, (0, 0)))
    (top, bottom), (left, right) = padding
    wanted = channels_last(dx)[:, top : p["height"] - bottom, left : p["width"] - right]
    found = kr.run(device, kernel, kr.image_store(wanted.shape), wanted.shape, gradient, w.detach().numpy())
    close(found, wanted, w[:, 0].numel())


@pytest.mark.parametrize("padding", PADDINGS, ids=str)
@pytest.mark.parametrize("name", ["plain", "stride", "dilation", "groups"])
def test_convolution_that_knows_of_the_padding(device: kr.Device, padding: Any, name: str) -> None:
    p = PROBLEMS[name]
    x, w, *_ = reference(p)
    (top, bottom), (left, right) = padding
    inner = x.detach()[:, :, top : p["height"] - bottom, left : p["width"] - right]
    padded = functional.pad(inner, (left, right, top, bottom))
    wanted = channels_last(functional.conv2d(padded, w, None, p["stride"], 0, p["dilation"], p["groups"]))
    kernel = kr.convolution(kr.CPU, **p, padding=padding)
    data, filters = channels_last(padded), w.detach().numpy()
    found = kr.run(device, kernel, kr.image_store(wanted.shape), wanted.shape, data, filters)
    close(found, wanted, w[0].numel())
