"""Prefix sums in the forms of a CPU and of a GPU, against NumPy, and what the language says of a wrong axis."""

from __future__ import annotations

import kernel_runner as kr
import numpy as np
import pytest
from primitive_runner import execute

from graphdl.compiler.program import Target, Tuning
from graphdl.language import Source, check
from graphdl.operators.kernels.prefix_sum import prefix_sum
from graphdl.operators.structure import transpose
from graphdl.operators.tensor import feed
from graphdl.runtime.opencl import Device

TARGETS = {
    "cpu": Target("cpu", vector_width=16, compute_units=2),
    "cpu that shares short sums": Target("cpu", vector_width=4, compute_units=3, tuning=Tuning(item_share=16)),
    "gpu": kr.GPU,
    "small gpu": Target("gpu", vector_width=1, compute_units=2, max_work_group=16),
}


@pytest.fixture(params=TARGETS)
def target(request: pytest.FixtureRequest) -> Target:
    return TARGETS[request.param]


def summed(x: np.ndarray, exclusive: bool) -> np.ndarray:
    total = np.cumsum(x.astype(np.float64 if x.dtype == np.float32 else np.int64), 1)
    return total - x if exclusive else total


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 37, 5), (2, 1531, 1), (1, 301, 37)], ids=str)
def test_sums_of_any_size(shape: tuple[int, int, int], target: Target, device: Device) -> None:
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    source = feed("x", shape)
    made = {"inclusive": prefix_sum(source), "exclusive": prefix_sum(source, exclusive=True)}
    found = execute(made, {"x": x}, device, target)
    np.testing.assert_allclose(found["inclusive"], summed(x, exclusive=False), rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(found["exclusive"], summed(x, exclusive=True), rtol=1e-5, atol=1e-4)


def test_ints_read_by_strides(target: Target, device: Device) -> None:
    x = np.random.default_rng(1).integers(-9, 9, (71, 3, 2)).astype(np.int32)
    made = prefix_sum(transpose(feed("x", x.shape, "int"), (2, 0, 1)))
    found = execute({"y": made}, {"x": x}, device, target)["y"]
    np.testing.assert_array_equal(found, summed(x.transpose(2, 0, 1), exclusive=False))


def test_a_wrong_axis_is_named() -> None:
    text = "net n() {\n    input x: [3, 4]\n    output y = cumsum(x, axis = 2)\n}\n"
    (complaint,) = check(Source("n.net", text))
    assert complaint.code == "E0402"
    assert complaint.message == "axis 2 is out of range: [3, 4] has 2 dimensions"
