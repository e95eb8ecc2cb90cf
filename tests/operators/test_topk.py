"""Both outputs of ``topk``, on the device and in the language, and what it says of a wrong k or axis."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from primitive_runner import Operand, execute, lowered

import graphdl
from graphdl.language import Source, check
from graphdl.runtime.opencl import Device


@pytest.mark.parametrize(("shape", "axis", "k"), [((2, 37), -1, 5), ((2, 3, 7, 5), 1, 7), ((2, 131, 3), 0, 1)])
def test_values_and_places(shape: tuple[int, ...], axis: int, k: int, device: Device) -> None:
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    values, indices = lowered("topk", [Operand(x)], {"k": k, "axis": axis})
    found = execute({"values": values, "indices": indices}, {"x0": x}, device)
    wanted = torch.tensor(x).topk(k, dim=axis + 1 if axis >= 0 else axis)
    np.testing.assert_array_equal(found["values"], wanted.values.numpy())
    np.testing.assert_array_equal(found["indices"], wanted.indices.numpy())


def test_the_first_of_equal_elements_and_a_nan(device: Device) -> None:
    x = np.array([[1.0, 3.0, np.nan, 3.0, 2.0, np.inf]], np.float32)
    values, indices = lowered("topk", [Operand(x)], {"k": 4})
    found = execute({"values": values, "indices": indices}, {"x0": x}, device)
    np.testing.assert_array_equal(found["values"], [[np.nan, np.inf, 3.0, 3.0]])
    np.testing.assert_array_equal(found["indices"], [[2, 5, 1, 3]])


def test_both_outputs_in_the_language() -> None:
    model = graphdl.loads(
        "net n() {\n    input x: [2, 3]\n"
        "    values, places = topk(x, k = 2)\n    greatest, _ = x -> topk(1, axis = 0)\n"
        "    output values\n    output places\n    output greatest\n}\n"
    )
    found = model.predict(x=np.array([[[1, 5, 3], [6, 2, 4]]], np.float32))
    np.testing.assert_array_equal(found["values"], [[[5, 3], [6, 4]]])
    np.testing.assert_array_equal(found["places"], [[[1, 2], [0, 2]]])
    np.testing.assert_array_equal(found["greatest"], [[[6, 5, 4]]])


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ("k = 5", "E0304", "k = 5 is not from 1 to 4, the length of dimension 1 of [3, 4]"),
        ("k = 0, axis = 0", "E0304", "k = 0 is not from 1 to 3, the length of dimension 0 of [3, 4]"),
        ("k = 1, axis = 2", "E0402", "axis 2 is out of range: [3, 4] has 2 dimensions"),
    ],
)
def test_a_wrong_k_or_axis_is_named(arguments: str, code: str, message: str) -> None:
    text = f"net n() {{\n    input x: [3, 4]\n    y, _ = topk(x, {arguments})\n    output y\n}}\n"
    (complaint,) = check(Source("n.net", text))
    assert (complaint.code, complaint.message) == (code, message)
