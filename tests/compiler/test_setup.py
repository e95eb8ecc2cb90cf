"""What depends on variables alone runs when one was written, and not again before the next is."""

from __future__ import annotations

import numpy as np
import pyopencl as cl
import pytest
import torch

from graphdl.compiler.build import build
from graphdl.compiler.program import Program, Target
from graphdl.operators.convolution import convolution
from graphdl.operators.elementwise import apply
from graphdl.operators.kernels.geometry import Geometry
from graphdl.operators.reduction import reduce
from graphdl.operators.structure import broadcast_to, pad, reshape, transpose
from graphdl.operators.tensor import Tensor, array, feed, read
from graphdl.runtime.executor import Executor
from graphdl.runtime.opencl import Device
from graphdl.runtime.variables import VariableStore

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(2, 3, 9, 7)).astype(np.float32)
W = RANDOM.normal(size=(19, 3, 3, 3)).astype(np.float32)
SCALE = RANDOM.normal(size=19).astype(np.float32)


def network() -> Tensor:
    """A convolution whose result is scaled by what a sum over a variable gives."""
    x = pad(feed("x", X.shape), [0, 0, 1, 1], [0, 0, 1, 1], 0.0)
    y = convolution(x, read("w", W.shape), Geometry(stride=(1, 1), dilation=(1, 1), groups=1))
    norm = apply("sqrt", reduce("sum", read("scale", SCALE.shape) * read("scale", SCALE.shape), (0,)))
    factor = reshape(read("scale", SCALE.shape) / broadcast_to(norm, SCALE.shape), (1, 19, 1, 1))
    return y * factor


def wanted(x: np.ndarray, w: np.ndarray, scale: np.ndarray) -> np.ndarray:
    y = torch.nn.functional.conv2d(torch.tensor(x).double(), torch.tensor(w).double(), padding=1).numpy()
    return y * (scale / np.sqrt((scale.astype(np.float64) ** 2).sum())).reshape(1, 19, 1, 1)


def written(program: Program) -> list[set[str]]:
    """The places from which each launch takes anything, and to which it writes."""
    return [{binding.place for binding in launch.bindings} for launch in program.launches]


@pytest.mark.parametrize("kind", ["cpu", "gpu"])
def test_packing_and_scales_come_first(kind: str) -> None:
    program = build({"y": network()}, {}, Target(kind, vector_width=8, compute_units=2))
    first, later = written(program)[: program.setup_launches], written(program)[program.setup_launches :]
    assert first
    assert all(places <= {"variable", "arena", "constant"} for places in first)
    assert any("feed" in places for places in later)
    packs = [number for number, launch in enumerate(program.launches) if "pack" in launch.label]
    assert len(packs) == (kind == "cpu")
    assert all(number < program.setup_launches for number in packs)


def test_what_setup_makes_is_overwritten_by_nobody() -> None:
    program = build({"y": network()}, {}, Target("cpu", vector_width=8, compute_units=2))
    blocks, setup = program.arena_blocks, program.setup_launches
    made = {k for launch in program.launches[:setup] for k in launch.writes}
    lasting = made & {k for launch in program.launches[setup:] for k in launch.reads}
    assert lasting
    for k in lasting:
        for other, block in enumerate(blocks):
            apart = (
                block.offset >= blocks[k].offset + blocks[k].nbytes or blocks[k].offset >= block.offset + block.nbytes
            )
            assert other == k or apart or block.last < blocks[k].first


def test_training_has_none() -> None:
    scale = read("scale", SCALE.shape)
    program = build({"y": network()}, {"scale": scale * 0.5}, Target("cpu", vector_width=8, compute_units=2))
    assert program.setup_launches == 0
    assert program.updates == ("scale",)


def test_what_waits_for_the_input_is_no_setup() -> None:
    """Nor is a fill, or the constant piece of what is assembled from the input."""
    x = pad(feed("x", (4, 4)), [1, 1], [1, 1], 2.5)
    table = array([[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]])
    program = build({"y": transpose(x, (1, 0)) * table}, {}, Target("cpu", vector_width=8, compute_units=2))
    assert program.setup_launches == 0


def test_results_follow_the_variables(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    store = VariableStore(device)
    executor = Executor(build({"y": network()}, {}, device.target), device, store)
    halving = build({}, {"scale": read("scale", SCALE.shape) * np.float32(0.5) + 1.0}, device.target)
    step = Executor(halving, device, store)
    store["w"], store["scale"] = W, SCALE
    enqueue, count = cl.enqueue_nd_range_kernel, 0

    def counting(*arguments: object) -> cl.Event:
        nonlocal count
        count += 1
        return enqueue(*arguments)

    monkeypatch.setattr(cl, "enqueue_nd_range_kernel", counting)

    def launches(x: np.ndarray, w: np.ndarray, scale: np.ndarray) -> int:
        before = count
        executor.run({"x": x})
        np.testing.assert_allclose(executor.fetch("y"), wanted(x, w, scale), rtol=2e-5, atol=2e-5)
        return count - before

    whole, setup = len(executor.program.launches), executor.program.setup_launches
    assert launches(X, W, SCALE) == whole
    assert launches(X * 2, W, SCALE) == whole - setup
    store["w"] = -W
    assert launches(X, -W, SCALE) == whole
    assert launches(X, -W, SCALE) == whole - setup
    executor.spoil()  # what the setup made is overwritten, too
    assert launches(X, -W, SCALE) == whole
    step.run()  # another program changes a variable
    assert launches(X, -W, SCALE * np.float32(0.5) + 1) == whole
    assert launches(X * 3, -W, SCALE * np.float32(0.5) + 1) == whole - setup


def test_a_program_of_nothing_has_no_launch() -> None:
    program = build({}, {}, Target("cpu", vector_width=8, compute_units=2))
    assert (program.launches, program.setup_launches, program.arena_bytes) == ((), 0, 0)
