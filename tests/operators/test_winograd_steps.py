"""Winograd's method on GPUs: its kernels, its errors, and where it is chosen."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import kernel_runner as kr
import numpy as np
import pytest
import torch
from test_winograd import DATA, UNIT, backward, drawn, forward, gradient_of_filters, kernels, of_filters
from torch.nn import functional

from graphdl.compiler.build import build
from graphdl.operators.convolution import Geometry, convolution, input_gradient, weight_gradient
from graphdl.operators.kernels.convolution import CONVOLUTION, INPUT_GRADIENT
from graphdl.operators.kernels.family import Choose, Family, predicted
from graphdl.operators.kernels.geometry import ConvolutionProblem
from graphdl.operators.kernels.template import GroupTile, group_tile
from graphdl.operators.kernels.weight_gradient import WEIGHT_GRADIENT
from graphdl.operators.kernels.winograd_steps import Steps, steps_of
from graphdl.operators.structure import pad, slice_
from graphdl.operators.tensor import Tensor, feed
from graphdl.runtime import tuned
from graphdl.runtime.executor import Executor
from graphdl.runtime.tuned import choice_of, own_table
from graphdl.runtime.tuning import Tuner, tasks_of
from graphdl.runtime.variables import VariableStore

FAMILIES = (CONVOLUTION, INPUT_GRADIENT, WEIGHT_GRADIENT)
LARGE_GPU = kr.Target("gpu", vector_width=4, compute_units=64, max_buffer=1 << 33)


def in_steps(outputs: int) -> Choose:
    """This method for all convolutions and gradients."""

    def choose(family: Family[Any, Any], problem: Any, target: kr.Target) -> Any:
        return Steps(outputs) if family in FAMILIES else predicted(family, problem, target)

    return choose


class Program:
    """The results of a program for a GPU in which all convolutions have this method."""

    def __init__(self, device: kr.Device, results: dict[str, Tensor], target: kr.Target, outputs: int) -> None:
        program = build(results, {}, target, choose=in_steps(outputs))
        forms = [launch.form for launch in program.launches if launch.form is not None]
        chosen = [form.candidate for form in forms if form.family in FAMILIES]
        assert chosen == [Steps(outputs)] * len(results)
        self.executor = Executor(program, device, VariableStore(device))

    def run(self, **feeds: torch.Tensor) -> dict[str, np.ndarray]:
        self.executor.spoil()
        self.executor.run({name: x.numpy().astype(np.float32) for name, x in feeds.items()})
        return {name: self.executor.fetch(name).copy() for name in self.executor.program.fetches}


TILES = pytest.mark.parametrize("outputs", [4, 2], ids=["four", "two"])


@TILES
@pytest.mark.parametrize(
    ("target", "sizes", "padding"),
    [
        (kr.GPU, (2, 13, 9, 8, 18), ((1, 1), (1, 1))),
        (kr.GPU, (5, 3, 3, 3, 1), ((0, 0), (0, 0))),
        (kr.GPU, (1, 70, 6, 21, 66), ((2, 0), (1, 3))),
        (kr.SMALL_GPU, (3, 37, 13, 9, 50), ((1, 1), (0, 2))),
    ],
    ids=["odd", "one pixel", "narrow", "small gpu"],
)
def test_all_passes(device: kr.Device, target: kr.Target, sizes: Any, padding: Any, outputs: int) -> None:
    """Forward with what follows, and both gradients. A second run gives the same bits."""
    n, c, height, width, filters = sizes
    (top, bottom), (left, right) = padding
    whole = (height + top + bottom, width + left + right)
    x, w, g = drawn(n, c, height, width), drawn(filters, c, 3, 3), drawn(n, filters, whole[0] - 2, whole[1] - 2)
    inputs = {name: feed(name, tuple(value.shape)) for name, value in {"x": x, "w": w, "g": g}.items()}
    padded = pad(inputs["x"], (0, 0, top, left), (0, 0, bottom, right))
    dx = input_gradient(inputs["g"], inputs["w"], padded.shape, UNIT)
    results = {
        "y": convolution(padded, inputs["w"], UNIT) * 2.0 + inputs["g"],
        "dx": slice_(dx, (0, 0, top, left), (1, 1, 1, 1), (n, c, height, width)),
        "dw": weight_gradient(padded, inputs["g"], (filters, c, 3, 3), UNIT),
    }
    around = functional.pad(x, (left, right, top, bottom))
    inner = (slice(None), slice(None), slice(top, top + height), slice(left, left + width))
    wanted = {
        "y": (functional.conv2d(around, w) * 2 + g, c),
        "dx": (functional.conv_transpose2d(g, w)[inner], filters),
        "dw": (torch.from_numpy(gradient_of_filters(around, g)), g[:, 0].numel()),
    }
    program = Program(device, results, target, outputs)
    found, again = program.run(x=x, w=w, g=g), program.run(x=x, w=w, g=g)
    for name, (exact, terms) in wanted.items():
        np.testing.assert_array_equal(found[name], again[name])
        np.testing.assert_allclose(found[name], exact.numpy(), rtol=0, atol=4e-5 * terms**0.5)


@TILES
def test_errors_are_bounded_by_the_products_of_a_tile(device: kr.Device, outputs: int) -> None:
    """The bounds are those of the CPUs' kernels: see ``test_winograd.py``."""
    n, c, size, filters = 2, 64, 14, 16
    results = {
        "y": convolution(feed("x", (n, c, size, size)), feed("w", (filters, c, 3, 3)), UNIT),
        "dw": weight_gradient(
            feed("x", (n, c, size, size)), feed("g", (n, filters, size - 2, size - 2)), (filters, c, 3, 3), UNIT
        ),
    }
    program = Program(device, results, kr.GPU, outputs)
    w, g = drawn(filters, c, 3, 3).float().double(), drawn(n, filters, size - 2, size - 2).float().double()
    for data in DATA.values():
        x = data(drawn(n, c, size, size).float().double()).float().double()
        found = program.run(x=x, w=w, g=g)
        largest = functional.max_pool2d(x.abs(), outputs + 2, outputs)
        everywhere = largest.repeat_interleave(outputs, 2).repeat_interleave(outputs, 3)
        products = torch.einsum("ncyx,oc->noyx", everywhere, w.abs().sum((2, 3))).numpy()
        assert np.all(np.abs(found["y"] - functional.conv2d(x, w).numpy()) <= 5e-7 * products)
        tiles = functional.avg_pool2d(g.abs(), outputs, divisor_override=1)
        products = torch.einsum("nctu,notu->oc", largest, tiles)[:, :, None, None].numpy()
        assert np.all(np.abs(found["dw"] - gradient_of_filters(x, g)) <= 5e-7 * products)


# ------------------------------------------------------------------------------------------------------------- choice


@pytest.mark.parametrize("sizes", [(8, 256, 28, 256), (4, 512, 28, 512), (8, 256, 56, 256)], ids=str)
def test_is_chosen_for_many_channels(sizes: tuple[int, int, int, int]) -> None:
    steps = ["winograd_step_data", "winograd_step_filters", "matmul"]
    assert kernels(forward(*sizes), LARGE_GPU) == [*steps, "convolution"]
    assert kernels(backward(*sizes), LARGE_GPU) == [*steps, "input_gradient"]
    two = kernels(of_filters(*sizes), LARGE_GPU)
    assert sorted(two) == ["matmul", "weight_gradient", "winograd_step_data", "winograd_step_gradient"]


@pytest.mark.parametrize(
    "y",
    [
        forward(8, 64, 56, 64),
        forward(4, 3, 224, 256),
        forward(8, 256, 28, 256, taps=5),
        forward(8, 256, 28, 256, geometry=Geometry((2, 2), (1, 1), 1)),
        forward(8, 256, 28, 256, geometry=Geometry((1, 1), (2, 2), 1)),
        forward(8, 256, 28, 256, geometry=Geometry((1, 1), (1, 1), 2)),
    ],
    ids=["few channels", "few channels of the data", "5 x 5", "stride", "dilation", "groups"],
)
def test_is_not_chosen_elsewhere(y: Tensor) -> None:
    assert kernels(y, LARGE_GPU) == ["convolution"]


def test_tensors_between_the_kernels_take_a_small_part_of_the_memory() -> None:
    problem = ConvolutionProblem(8, 256, 58, 58, 256, (3, 3), (1, 1), (1, 1), 1)
    assert steps_of(problem, LARGE_GPU) == [Steps(4), Steps(2)]
    # 1,568 tiles with 36 positions, and 6,272 tiles with 16: 31 and 52 million floats with the filters
    assert steps_of(problem, replace(LARGE_GPU, max_buffer=8 * 4 * 40_000_000)) == [Steps(4)]
    assert steps_of(problem, replace(LARGE_GPU, max_buffer=8 * 4 * 20_000_000)) == []
    assert [type(form) for form in CONVOLUTION.candidates(problem, replace(LARGE_GPU, max_buffer=1))] == [GroupTile]


def test_tune_measures_it_beside_the_direct_kernel(
    device: kr.Device, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The task is the same whichever of them a program has."""
    monkeypatch.setattr(tuned, "cache_folder", lambda: tmp_path)
    monkeypatch.setattr(tuned, "shipped_tables", lambda info: [])
    gpu = replace(device, info=replace(device.info, kind="gpu", max_work_group=kr.GPU.max_work_group))
    assert gpu.target.kind == "gpu"
    choice_of.cache_clear()
    x, w = pad(feed("x", (2, 20, 9, 7)), (0, 0, 1, 1), (0, 0, 1, 1)), feed("w", (17, 20, 3, 3))
    results = {"y": convolution(x, w, UNIT) + 1.0}

    def tasks(choose: Choose) -> list[Any]:
        program = build(results, {}, gpu.target, choose=choose)
        return tasks_of([(launch, 1e-3) for launch in program.launches], gpu.target)

    (found,) = Tuner(gpu).run(tasks(predicted), 100)
    assert found.entry.family == "convolution"
    assert set(found.entry.seconds) == set(map(repr, (group_tile(gpu.target), Steps(4), Steps(2))))
    assert (found.refused, found.entry.complete) == (0, True)
    assert Tuner(gpu).run(tasks(in_steps(4)), 0) == [found], "both programs have the same tasks"
    assert own_table(gpu.info) is not None
    choice_of.cache_clear()
