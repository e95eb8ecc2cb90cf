"""Depthwise convolution and its gradients against PyTorch in double precision, at sizes awkward for vectors."""

from __future__ import annotations

from typing import Any

import kernel_runner as kr
import numpy as np
import pytest
import torch
from primitive_runner import execute
from torch.nn import functional

from graphdl.compiler.build import build
from graphdl.compiler.program import Target
from graphdl.compiler.reverse import gradients
from graphdl.operators.convolution import Geometry, convolution
from graphdl.operators.elementwise import apply
from graphdl.operators.kernels.depthwise import DEPTHWISE, DEPTHWISE_INPUT, DEPTHWISE_WEIGHT
from graphdl.operators.kernels.family import predicted
from graphdl.operators.kernels.geometry import ConvolutionProblem
from graphdl.operators.reduction import reduce
from graphdl.operators.structure import pad, reshape
from graphdl.operators.tensor import feed, read
from graphdl.runtime.alone import plain_store, upload
from graphdl.runtime.executor import Executor
from graphdl.runtime.opencl import Device
from graphdl.runtime.variables import VariableStore

TARGETS = {
    "cpu": Target("cpu", vector_width=16, compute_units=2),
    "narrow cpu": Target("cpu", vector_width=8, compute_units=3),
    "gpu": kr.GPU,
    "small gpu": Target("gpu", vector_width=1, compute_units=2, max_work_group=16),
}


def problem(**changes: Any) -> ConvolutionProblem:
    """Batch 2, 21 channels, 3×3 on 9×8 with a ring of padding, which counts in the size."""
    given = {
        "batch": 2, "channels": 21, "height": 11, "width": 10, "kernel": (3, 3), "stride": (1, 1),
        "dilation": (1, 1), "padding": ((1, 1), (1, 1)), **changes,
    }  # fmt: skip
    return ConvolutionProblem(**given, filters=given["channels"], groups=given["channels"])


PROBLEMS = {
    "plain": problem(),
    "two channels": problem(channels=2),
    "whole vectors": problem(channels=32, batch=1),
    "stride": problem(stride=(2, 2)),
    "stride 3": problem(stride=(3, 3), kernel=(2, 2), height=14, width=13),
    "uneven": problem(stride=(2, 1), kernel=(3, 2), dilation=(1, 2), padding=((0, 2), (3, 0))),
    "dilation": problem(dilation=(2, 2), padding=((2, 2), (2, 2))),
    "dilation and stride": problem(dilation=(2, 3), stride=(2, 2), height=12, width=13),
    "no padding": problem(padding=((0, 0), (0, 0))),
    "more padding than filter": problem(padding=((3, 4), (4, 3)), kernel=(2, 2), height=12, width=12),
    "single pixel": problem(height=3, width=3, batch=5),
    "five by five": problem(kernel=(5, 5), padding=((2, 2), (2, 2)), channels=17, width=21),
    "one by one": problem(kernel=(1, 1), padding=((0, 0), (0, 0)), channels=7),
    "one row": problem(batch=1, height=3, channels=40),
    "wide": problem(width=71, height=5, channels=16),
}
CASES = [("cpu", name) for name in PROBLEMS]
CASES += [("gpu", name) for name in ("plain", "stride 3", "uneven", "dilation and stride", "more padding than filter")]
CASES += [(target, name) for name in ("stride", "five by five") for target in TARGETS if " " in target]


def reference(p: ConvolutionProblem) -> tuple[torch.Tensor, ...]:
    """X without its padding, W, Y, G, dX, dW in PyTorch's layout and double precision."""
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64).requires_grad_()

    (top, bottom), (left, right) = p.padding
    x = draw(p.batch, p.channels, *p.inner)
    w = draw(p.channels, 1, *p.kernel)
    padded = functional.pad(x, (left, right, top, bottom))
    y = functional.conv2d(padded, w, stride=p.stride, dilation=p.dilation, groups=p.groups)
    g = draw(*y.shape)
    dx, dw = torch.autograd.grad(y, (x, w), g)
    return tuple(each.detach() for each in (x, w, y, g, dx, dw))


def channels_last(tensor: torch.Tensor) -> np.ndarray:
    return tensor.permute(0, 2, 3, 1).numpy()


def ran(device: Device, family: Any, p: ConvolutionProblem, candidate: Any, target: Target, shape: Any, *operands: Any):
    """The image that a form of the kernel stores; its stores add, so that an element stored twice shows."""
    store = plain_store("nyxc", dict(zip("nyxc", shape, strict=True)))
    kernel = kr.alone(device, family.call(p, candidate, target), store)
    return kernel.run(shape, *(upload(device, np.asarray(operand)) for operand in operands))


@pytest.mark.parametrize(("target", "name"), CASES)
def test_forward_and_input_gradient(device: Device, target: str, name: str) -> None:
    p, chosen = PROBLEMS[name], TARGETS[target]
    x, w, y, g, dx, _ = reference(p)
    for family, data, wanted in ((DEPTHWISE, x, y), (DEPTHWISE_INPUT, g, dx)):
        expected = channels_last(wanted)
        form = predicted(family, p, chosen)
        found = ran(device, family, p, form, chosen, expected.shape, channels_last(data), w)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * p.taps**0.5)


@pytest.mark.parametrize(("name", "places"), [("plain", 1), ("stride", 3), ("wide", 8), ("plain", 5)])
def test_any_tile(device: Device, name: str, places: int) -> None:
    p, chosen = PROBLEMS[name], TARGETS["cpu"]
    x, w, y, g, dx, _ = reference(p)
    for family, data, wanted in ((DEPTHWISE, x, y), (DEPTHWISE_INPUT, g, dx)):
        expected = channels_last(wanted)
        found = ran(device, family, p, places, chosen, expected.shape, channels_last(data), w)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * p.taps**0.5)


@pytest.mark.parametrize(("target", "name"), CASES)
def test_weight_gradient(device: Device, target: str, name: str) -> None:
    p, chosen = PROBLEMS[name], TARGETS[target]
    x, _, _, g, _, dw = reference(p)
    for splits in {predicted(DEPTHWISE_WEIGHT, p, chosen), *((1, 3) if name == "plain" else ())}:
        store = plain_store(
            ("s", "c", "i", "ky", "kx"), {"s": 0, "i": 1, "ky": p.kernel[0], "kx": p.kernel[1], "c": p.channels}
        )
        kernel = kr.alone(device, DEPTHWISE_WEIGHT.call(p, splits, chosen), store)
        operands = (upload(device, channels_last(each)) for each in (x, g))
        found = kernel.run((splits, *p.kernel, p.channels), *operands)
        expected = dw[:, 0].permute(1, 2, 0).numpy()
        np.testing.assert_allclose(found.sum(0), expected, rtol=0, atol=1e-5 * (g[:, 0].numel()) ** 0.5)


NETS = {
    "same": ((7, 9), 19, (3, 3), (1, 1), (1, 1), (1, 1)),
    "stride": ((8, 7), 6, (3, 3), (2, 2), (1, 1), (1, 1)),
    "dilated": ((9, 9), 4, (3, 2), (1, 2), (2, 1), (2, 1)),
    "bare": ((6, 6), 16, (5, 5), (1, 1), (0, 0), (1, 1)),
}
"""Image, channels, kernel, stride, padding on either side, dilation."""


@pytest.mark.parametrize(
    ("target", "name"),
    [("cpu", "same"), ("gpu", "same"), ("narrow cpu", "stride"), ("gpu", "dilated"), ("cpu", "bare")],
)
def test_in_a_program_with_what_follows(device: Device, target: str, name: str) -> None:
    """Scale, shift, activation and update go into the kernels; so does the padding, forward and in reverse."""
    size, channels, kernel, stride, around, dilation = NETS[name]
    generator = torch.Generator().manual_seed(1)
    shapes = {"x": (3, channels, *size), "w": (channels, 1, *kernel), "b": (channels,)}
    torches = {key: torch.randn(*shape, generator=generator).requires_grad_() for key, shape in shapes.items()}
    y = functional.conv2d(torches["x"], torches["w"], None, stride, around, dilation, channels)
    y = torch.relu(y * 0.5 + torches["b"].reshape(-1, 1, 1))
    loss = (y * y).sum()
    wanted = torch.autograd.grad(loss, list(torches.values()))

    x, w, b = feed("x", shapes["x"]), read("w", shapes["w"]), feed("b", shapes["b"])
    made = convolution(pad(x, (0, 0, *around), (0, 0, *around)), w, Geometry(stride, dilation, channels))
    ours = apply("maximum", made * 0.5 + reshape(b, (channels, 1, 1)), 0.0)
    total = reduce("sum", ours * ours, range(4), keep=False)
    found = gradients(total, [x, w, b])
    results = {"y": ours, "dx": found[0], "dw": found[1], "db": found[2]}
    program = build(results, {"w": w - found[1] * 0.1}, TARGETS[target])
    names = [each.label.split()[0] for each in program.launches]
    assert sum("depthwise" in each for each in names) == 3
    assert not any("pad" in each.split("+") for each in names), "the padding is not stored"
    feeds = {key: torches[key].detach().numpy() for key in ("x", "b")}
    store = VariableStore(device)
    executor = Executor(program, device, store)
    store["w"] = torches["w"].detach().numpy()
    executor.run(feeds)
    close = {"rtol": 1e-4, "atol": 2e-4}
    np.testing.assert_allclose(executor.fetch("y"), y.detach().numpy(), **close)
    for key, gradient in zip(("dx", "dw", "db"), wanted, strict=True):
        np.testing.assert_allclose(executor.fetch(key), gradient.numpy(), **close, err_msg=key)
    np.testing.assert_allclose(store["w"], (torches["w"] - 0.1 * wanted[1]).detach().numpy(), **close)


def test_gradients_are_finite_differences(device: Device) -> None:
    rng = np.random.default_rng(2)
    arrays = {"x": rng.normal(size=(1, 3, 5, 4)), "w": rng.normal(size=(3, 1, 3, 2))}
    arrays = {key: array.astype(np.float32) for key, array in arrays.items()}
    x, w = (feed(key, array.shape) for key, array in arrays.items())
    y = convolution(pad(x, (0, 0, 1, 1), (0, 0, 1, 0)), w, Geometry((2, 1), (1, 2), 3))
    total = reduce("sum", apply("tanh", y), range(4), keep=False)
    found = execute(dict(zip("xw", gradients(total, [x, w]), strict=True)), arrays, device)
    for key, array in arrays.items():
        for place in np.ndindex(array.shape):
            values = []
            for step in (1e-2, -1e-2):
                moved = {**arrays, key: array.copy()}
                moved[key][place] += step
                values.append(float(difference(moved)))
            assert found[key][place] == pytest.approx((values[0] - values[1]) / 2e-2, rel=2e-2, abs=2e-3)


def difference(arrays: dict[str, np.ndarray]) -> torch.Tensor:
    x, w = (torch.tensor(arrays[key], dtype=torch.float64) for key in "xw")
    y = functional.conv2d(functional.pad(x, (1, 0, 1, 1)), w, None, (2, 1), 0, (1, 2), 3)
    return torch.tanh(y).sum()


def test_a_gradient_has_a_gradient(device: Device) -> None:
    """The squared norm of the gradients, differentiated again: all three kernels in both roles."""
    generator = torch.Generator().manual_seed(3)
    tx = torch.randn(2, 5, 6, 5, generator=generator).requires_grad_()
    tw = torch.randn(5, 1, 3, 3, generator=generator).requires_grad_()
    ty = functional.conv2d(tx, tw, None, 2, 1, 1, 5)
    first = torch.autograd.grad((ty**3).sum(), (tx, tw), create_graph=True)
    wanted = torch.autograd.grad(sum((each**2).sum() for each in first), (tx, tw))

    x, w = feed("x", tuple(tx.shape)), feed("w", tuple(tw.shape))
    y = convolution(pad(x, (0, 0, 1, 1), (0, 0, 1, 1)), w, Geometry((2, 2), (1, 1), 5))
    once = gradients(reduce("sum", y * y * y, range(4), keep=False), [x, w])
    norm = sum(
        (reduce("sum", each * each, range(4), keep=False) for each in once[1:]),
        reduce("sum", once[0] * once[0], range(4), keep=False),
    )
    twice = gradients(norm, [x, w])
    feeds = {"x": tx.detach().numpy(), "w": tw.detach().numpy()}
    found = execute(dict(zip("xw", twice, strict=True)), feeds, device)
    for key, gradient in zip("xw", wanted, strict=True):
        scale = float(gradient.abs().max())
        np.testing.assert_allclose(found[key], gradient.numpy(), rtol=1e-3, atol=1e-4 * scale)
