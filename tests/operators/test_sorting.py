"""The stable sort and the sums over segments in the forms of a CPU and of a GPU, against NumPy."""

from __future__ import annotations

import kernel_runner as kr
import numpy as np
import pytest
from primitive_runner import execute

from graphdl.compiler.program import Target
from graphdl.compiler.reverse import gradients
from graphdl.language import Source, check
from graphdl.operators.gather import segment_sum
from graphdl.operators.kernels import segment_sum as kernels
from graphdl.operators.kernels.sorting import argsort
from graphdl.operators.reduction import reduce
from graphdl.operators.structure import transpose
from graphdl.operators.tensor import feed
from graphdl.runtime.opencl import Device

TARGETS = {
    "cpu": Target("cpu", vector_width=16, compute_units=2),
    "cpu with little local memory": Target("cpu", vector_width=4, compute_units=3, local_memory=1024),
    "gpu": kr.GPU,
    "small gpu": Target("gpu", vector_width=1, compute_units=2, max_work_group=16, local_memory=1024),
}


@pytest.fixture(params=TARGETS)
def target(request: pytest.FixtureRequest) -> Target:
    return TARGETS[request.param]


def sorted_by(keys: np.ndarray, device: Device, target: Target, descending: bool = False) -> np.ndarray:
    x = feed("x", keys.shape, "float" if keys.dtype == np.float32 else "int")
    return execute({"y": argsort(x, descending=descending)}, {"x": keys}, device, target)["y"]


@pytest.mark.parametrize("shape", [(3, 1), (2, 33), (3, 2500)], ids=str)
def test_equal_keys_keep_their_order(shape: tuple[int, int], target: Target, device: Device) -> None:
    keys = np.random.default_rng(0).integers(-7, 7, shape).astype(np.int32)
    np.testing.assert_array_equal(sorted_by(keys, device, target), np.argsort(keys, 1, kind="stable"))
    down = np.argsort(-keys, 1, kind="stable")
    np.testing.assert_array_equal(sorted_by(keys, device, target, descending=True), down)


@pytest.mark.parametrize("descending", [False, True])
def test_a_nan_is_the_greatest_of_all_floats(descending: bool, target: Target, device: Device) -> None:
    special = [np.nan, -np.nan, np.inf, -np.inf, 0.0, -0.0, 1e30, -1e30, 1.5, -1.5, 3e38]
    keys = np.random.default_rng(1).choice(special, (2, 301)).astype(np.float32)
    sign = -1 if descending else 1
    order = np.array([sorted(range(301), key=lambda k, row=row: sign * _rank(row[k])) for row in keys])
    np.testing.assert_array_equal(sorted_by(keys, device, target, descending), order)


def _rank(value: float) -> float:
    return float("inf") if np.isnan(value) else np.clip(float(value), -1e39, 1e39)


def test_ints_at_the_ends_of_their_range(target: Target, device: Device) -> None:
    keys = np.array([[0, 2**31 - 1, -(2**31), -1, 1, 2**31 - 1, -(2**31)]], np.int32)
    np.testing.assert_array_equal(sorted_by(keys, device, target), [[2, 6, 3, 0, 4, 1, 5]])
    np.testing.assert_array_equal(sorted_by(keys, device, target, descending=True), [[1, 5, 4, 0, 3, 2, 6]])


def test_keys_are_read_by_strides(target: Target, device: Device) -> None:
    keys = np.random.default_rng(2).normal(size=(67, 5)).astype(np.float32)
    y = argsort(transpose(feed("x", keys.shape), (1, 0)))
    found = execute({"y": y}, {"x": keys}, device, target)["y"]
    np.testing.assert_array_equal(found, np.argsort(keys.T, 1, kind="stable"))


@pytest.mark.parametrize("name", ["sort", "argsort"])
def test_a_wrong_axis_is_named(name: str) -> None:
    text = f"net n() {{\n    input x: [3, 4]\n    output y = {name}(x, axis = -3)\n}}\n"
    (complaint,) = check(Source("n.net", text))
    assert (complaint.code, complaint.message) == ("E0402", "axis -3 is out of range: [3, 4] has 2 dimensions")


@pytest.mark.parametrize(("rows", "units", "count"), [(53, 1, 37), (211, 33, 611), (2003, 5, 1)], ids=str)
def test_segments_are_summed(rows: int, units: int, count: int, target: Target, device: Device) -> None:
    rng = np.random.default_rng(rows + units + count)
    index = rng.integers(-2, rows + 3, (3, count)).astype(np.int32)
    index[:, : count // 2] = rows // 2  # one long segment
    g = rng.normal(size=(3, count, units)).astype(np.float32)
    made = segment_sum(feed("index", index.shape, "int"), feed("g", g.shape), rows)
    found = execute({"y": made}, {"index": index, "g": g}, device, target)["y"]
    again = execute({"y": made}, {"index": index, "g": g}, device, target)["y"]
    np.testing.assert_array_equal(found, again)
    np.testing.assert_allclose(found, summed(index, g, rows), rtol=1e-5, atol=1e-5)


def summed(index: np.ndarray, g: np.ndarray, rows: int) -> np.ndarray:
    wanted = np.zeros((g.shape[0], rows, g.shape[2]))
    for t, k in np.argwhere((index >= 0) & (index < rows)):
        wanted[t, index[t, k]] += g[t, k]
    return wanted


@pytest.mark.parametrize("most", [0, 1 << 30], ids=["sorted", "compared"])
def test_both_forms_read_by_strides_and_differentiate(
    most: int, target: Target, device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernels, "MOST_COMPARED", most)
    rng = np.random.default_rng(3)
    index = rng.integers(-1, 20, (41, 2)).astype(np.int32)
    g, weight = rng.normal(size=(9, 2, 41)).astype(np.float32), rng.normal(size=(2, 19, 9)).astype(np.float32)
    source = feed("g", g.shape)
    made = segment_sum(transpose(feed("index", index.shape, "int"), (1, 0)), transpose(source, (1, 2, 0)), 19)
    loss = reduce("sum", made * feed("weight", weight.shape), (0, 1, 2), keep=False)
    results = {"y": made, "slope": gradients(loss, [source])[0]}
    found = execute(results, {"index": index, "g": g, "weight": weight}, device, target)
    np.testing.assert_allclose(found["y"], summed(index.T, g.transpose(1, 2, 0), 19), rtol=1e-5, atol=1e-5)
    inside = (index.T >= 0) & (index.T < 19)
    slope = np.where(inside[..., None], weight[[[0], [1]], np.clip(index.T, 0, 18)], 0)
    np.testing.assert_array_equal(found["slope"], slope.transpose(2, 0, 1))
