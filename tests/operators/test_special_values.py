"""What the rules say of NaN, ties, corners, ints and indices outside: against NumPy and PyTorch, exactly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from primitive_runner import Operand, execute, forward, reverse

from graphdl.graph.types import TensorType
from graphdl.operators import PRIMITIVES, Lowering
from graphdl.operators.elementwise import cast
from graphdl.operators.random import SEED
from graphdl.operators.tensor import constant, feed, number
from graphdl.runtime.opencl import Device

NAN, INFINITY = float("nan"), float("inf")
LEAST, GREATEST = -(2**31), 2**31 - 1

SPECIAL = np.array([0.0, -0.0, 1.0, -2.5, INFINITY, -INFINITY, NAN], np.float32)
WHOLE = np.array([0, 1, -1, 7, -7, 2**24 + 1, LEAST, GREATEST], np.int32)


def every_pair(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two operands, a batch of one, that hold each value beside each; one more than fills vectors."""
    a, b = (x.ravel() for x in np.meshgrid(values, values))
    return np.append(a, a[0])[None], np.append(b, b[0])[None]


def same(got: np.ndarray, want: Any) -> None:
    np.testing.assert_array_equal(got, want)  # a NaN equals a NaN here
    assert got.dtype == np.asarray(want).dtype


@pytest.mark.parametrize("name", ["maximum", "minimum"])
def test_a_nan_wins_and_equal_operands_share_the_slope(name: str, device: Device) -> None:
    a, b = every_pair(SPECIAL)
    x, y = (torch.tensor(v, requires_grad=True) for v in (a, b))
    z = getattr(torch, name)(x, y)
    z.sum().backward()
    operands = [Operand(a), Operand(b)]
    same(forward(name, operands, {}, device), z.detach().numpy())
    to_a, to_b = reverse(name, operands, {}, np.ones_like(a), device)
    same(to_a, x.grad.numpy())
    same(to_b, y.grad.numpy())


@pytest.mark.parametrize("shape", [(3, 37), (3, 5, 19), (3, 19, 5)])
@pytest.mark.parametrize("axis", [0, -1])
def test_a_nan_wins_in_reductions_and_the_first_of_equal_ones_is_chosen(
    shape: tuple[int, ...], axis: int, device: Device
) -> None:
    generator = np.random.default_rng(0)
    x = generator.integers(-2, 3, shape).astype(np.float32)
    x[generator.random(shape) < 0.04] = NAN
    x[0].flat[-1] = NAN  # behind the last whole vector
    x[1] = -INFINITY
    over = axis + 1 if axis >= 0 else axis
    for name, reference in (("max", np.max), ("min", np.min), ("argmax", np.argmax), ("argmin", np.argmin)):
        want = reference(x, over).astype(np.int32 if name.startswith("arg") else np.float32)
        same(forward(name, [Operand(x)], {"axis": axis}, device), want)


def test_a_nan_wins_in_a_window(device: Device) -> None:
    x = np.random.default_rng(0).normal(size=(2, 3, 8, 8)).astype(np.float32)
    x[0, 1, 2, 3] = x[1, 2, 7, 7] = NAN
    settings = {"kernel": 3, "stride": 2, "pad": 1}
    want = torch.nn.functional.max_pool2d(torch.tensor(x), 3, 2, 1).numpy()
    same(forward("max_window", [Operand(x)], settings, device), want)


def test_windows_and_repeated_pixels_keep_whole_numbers_whole(device: Device) -> None:
    x = np.random.default_rng(0).integers(LEAST, GREATEST, (2, 3, 4, 6)).astype(np.int32)
    want = x.reshape(2, 3, 2, 2, 3, 2).max((3, 5))
    same(forward("max_window", [Operand(x)], {"kernel": 2, "stride": None, "pad": 0}, device), want)
    same(forward("resize_nearest", [Operand(x)], {"factor": 2}, device), x.repeat(2, 2).repeat(2, 3))


@pytest.mark.parametrize(("name", "reference"), [("floor_divide", np.floor_divide), ("remainder", np.remainder)])
def test_whole_numbers_are_divided_by_the_floor_and_a_division_by_0_gives_0(
    name: str, reference: Any, device: Device
) -> None:
    a, b = every_pair(WHOLE)
    with np.errstate(all="ignore"):
        want = reference(a, b)
    same(forward(name, [Operand(a), Operand(b)], {}, device), want)


@pytest.mark.parametrize(("name", "reference"), [("floor_divide", np.floor_divide), ("remainder", np.remainder)])
def test_large_floats_are_divided_as_numpy_divides_them(name: str, reference: Any, device: Device) -> None:
    values = np.array([1e10, -1e10, 3e30, 5.5, -5.5, 0.1, 7.0, -7.0, 1.0, -1e-20, INFINITY, -INFINITY, NAN], np.float32)
    a, b = every_pair(values)
    with np.errstate(all="ignore"):
        want = reference(a, b)
    same(forward(name, [Operand(a), Operand(b)], {}, device), want)


def test_a_remainder_lies_below_its_divisor(device: Device) -> None:
    a = np.random.default_rng(0).uniform(-3e12, 3e12, (1, 1001)).astype(np.float32)
    got = forward("remainder", [Operand(a), Operand(np.array(0.7, np.float32), False)], {}, device)
    assert got.min() >= 0.0
    assert got.max() < np.float32(0.7)


@pytest.mark.parametrize(
    ("name", "reference"),
    [("sum", lambda x: x.sum(1, dtype=np.int32)), ("max", lambda x: x.max(1)), ("min", lambda x: x.min(1))],
)
def test_reductions_of_whole_numbers_are_whole(name: str, reference: Any, device: Device) -> None:
    x = np.random.default_rng(0).integers(LEAST, GREATEST, (3, 35)).astype(np.int32)
    same(forward(name, [Operand(x)], {"axis": 0, "keep": False}, device), reference(x))


@pytest.mark.parametrize("axis", [0, -1])
def test_the_first_true_value_is_the_greatest(axis: int, device: Device) -> None:
    x = np.random.default_rng(0).random((3, 19, 37)) < 0.1
    want = np.argmax(x, axis + 1 if axis >= 0 else axis).astype(np.int32)
    same(forward("argmax", [Operand(x)], {"axis": axis}, device), want)


def test_the_least_of_whole_numbers_and_of_bools_is_found(device: Device) -> None:
    x = np.array([[5, LEAST, LEAST + 1, LEAST], [GREATEST, 3, 3, GREATEST]], np.int32)
    same(forward("argmin", [Operand(x)], {}, device), np.array([1, 1], np.int32))
    same(forward("argmin", [Operand(x > 0)], {}, device), np.array([1, 0], np.int32))


def test_any_and_all_take_a_nan_for_true(device: Device) -> None:
    x = np.array([[0.0, NAN, 0.0], [-0.0, 0.0, 0.0], [NAN, 1.0, -2.0]], np.float32)
    same(forward("any", [Operand(x)], {}, device), np.array([True, False, True]))
    same(forward("all", [Operand(x)], {}, device), np.array([False, False, True]))


def test_the_logarithm_of_a_sum_of_infinite_exponentials(device: Device) -> None:
    rows = [[-INFINITY] * 3, [INFINITY, 0.0, -INFINITY], [NAN, 0.0, 1.0], [3e38, 3e38, -3e38], [1.0, 2.0, -INFINITY]]
    x = np.array(rows, np.float32)
    np.testing.assert_allclose(forward("logsumexp", [Operand(x)], {}, device), torch.tensor(x).logsumexp(1), rtol=1e-6)
    (slope,) = reverse("logsumexp", [Operand(x[[0, 3, 4]])], {}, np.ones(3, np.float32), device)
    share = 1 / (1 + np.e)
    np.testing.assert_allclose(slope, [[0, 0, 0], [0.5, 0.5, 0], [share, 1 - share, 0]], rtol=1e-6)


def test_an_index_out_of_range_has_a_row_of_zeros(device: Device) -> None:
    x = np.array([[-1, 0, 2, 3, LEAST, GREATEST]], np.int32)
    want = np.zeros((1, 6, 3), np.float32)
    want[0, 1, 0] = want[0, 2, 2] = 1.0
    same(forward("one_hot", [Operand(x)], {"classes": 3}, device), want)


def test_products_and_windows_of_whole_numbers_are_summed_as_ints(device: Device) -> None:
    random = np.random.default_rng(0)
    a, b = (random.integers(LEAST, GREATEST, shape).astype(np.int32) for shape in ((3, 5, 19), (19, 7)))
    want = (a.astype(np.int64) @ b).astype(np.int32)  # NumPy wraps around, too
    same(forward("matmul", [Operand(a), Operand(b, False)], {}, device), want)
    same(forward("einsum", [Operand(a), Operand(b, False)], {"equation": "ij,jk->ik"}, device), want)
    square = random.integers(LEAST, GREATEST, (3, 5, 5)).astype(np.int32)
    want = np.diagonal(square, axis1=1, axis2=2)
    same(forward("einsum", [Operand(square)], {"equation": "ii->i"}, device), want)
    x = random.integers(LEAST, GREATEST, (2, 3, 4, 6)).astype(np.int32)
    want = x.reshape(2, 3, 2, 2, 3, 2).sum((3, 5), dtype=np.int32)
    same(forward("sum_window", [Operand(x)], {"kernel": 2}, device), want)


@pytest.mark.parametrize(("name", "reference"), [("abs", np.abs), ("sign", np.sign), ("negative", np.negative)])
def test_whole_numbers_stay_whole(name: str, reference: Any, device: Device) -> None:
    same(forward(name, [Operand(WHOLE[None])], {}, device), reference(WHOLE[None]))


@pytest.mark.parametrize("name", ["less", "less_equal", "greater", "greater_equal", "maximum", "minimum", "multiply"])
def test_truth_values_count_as_0_and_1(name: str, device: Device) -> None:
    a, b = (x != 0 for x in every_pair(np.array([0, 1])))
    a, b = np.tile(a, (1, 7)), np.tile(b, (1, 7))
    want = getattr(np, name)(a.astype(np.int32), b.astype(np.int32))
    same(forward(name, [Operand(a), Operand(b)], {}, device), want)


def test_the_sign_of_a_nan_is_a_nan(device: Device) -> None:
    same(forward("sign", [Operand(SPECIAL[None])], {}, device), np.sign(SPECIAL[None]))


FLOATS = (NAN, INFINITY, -INFINITY, 3e9, -3e9, 2.9, -2.9, 0.0, 2147483520.0)
CUT_OFF = (0, GREATEST, LEAST, GREATEST, LEAST, 2, -2, 0, 2147483520)


def test_a_float_without_a_whole_number_becomes_the_nearest_and_a_nan_0(device: Device) -> None:
    x = np.array([FLOATS], np.float32)
    same(forward("int", [Operand(x)], {}, device), np.array([CUT_OFF], np.int32))
    assert [number(cast(constant(value), "int")) for value in FLOATS] == list(CUT_OFF)


def test_to_the_power_of_0_is_1_without_a_slope(device: Device) -> None:
    a, b = every_pair(np.array([0.0, 1.0, 2.0], np.float32))
    x, y = (torch.tensor(v, requires_grad=True) for v in (a, b))
    (x**y).sum().backward()
    to_a, to_b = reverse("power", [Operand(a), Operand(b)], {}, np.ones_like(a), device)
    same(to_a, x.grad.numpy())
    np.testing.assert_allclose(to_b, y.grad.numpy(), rtol=1e-6)


class TestIndicesOutside:
    """Nothing is read there: a float is a NaN, an int the least there is; no gradient goes there."""

    INDEX = np.array([[0, 10, 11, -1, GREATEST, LEAST]], np.int32)
    INSIDE = np.array([True, True, False, False, False, False])

    @pytest.mark.parametrize("own", [False, True])
    @pytest.mark.parametrize("units", [(), (17,)])
    def test_rows_of_a_table(self, own: bool, units: Sequence[int], device: Device) -> None:
        table = np.random.default_rng(0).normal(size=(*([1] if own else []), 11, *units)).astype(np.float32)
        whole = table.view(np.int32)
        rows = np.clip(self.INDEX[0], 0, 10)
        inside = self.INSIDE.reshape(6, *([1] * len(units)))
        for values, missing in ((table, np.float32(NAN)), (whole, np.int32(LEAST))):
            want = np.where(inside, values.reshape(11, *units)[rows], missing)[None]
            same(forward("take", [Operand(values, own), Operand(self.INDEX)], {}, device), want)
        upstream = np.ones((1, 6, *units), np.float32)
        (to_table,) = reverse("take", [Operand(table, own), Operand(self.INDEX)], {}, upstream, device)
        want = np.zeros(11, np.float32)
        want[[0, 10]] = 1.0
        same(to_table.reshape(11, -1), np.repeat(want[:, None], int(np.prod(units)), 1))

    def test_elements_of_a_row(self, device: Device) -> None:
        x = np.random.default_rng(0).normal(size=(1, 6, 11)).astype(np.float32)
        operands = [Operand(x), Operand(self.INDEX)]
        got = forward("pick", operands, {}, device)
        same(got, np.array([[x[0, 0, 0], x[0, 1, 10], NAN, NAN, NAN, NAN]], np.float32))
        (to_x,) = reverse("pick", operands, {}, np.ones((1, 6), np.float32), device)
        want = np.zeros_like(x)
        want[0, 0, 0] = want[0, 1, 10] = 1.0
        same(to_x, want)

    def test_rank_comes_last(self, device: Device) -> None:
        x = np.random.default_rng(0).normal(size=(1, 6, 11)).astype(np.float32)
        x[0, 2:, 3] = NAN
        got = forward("rank_of", [Operand(x), Operand(self.INDEX)], {}, device)
        same(got[0, 2:], np.full(4, 11, np.float32))


def test_own_tables_are_read_by_index_and_not_by_a_product(device: Device) -> None:
    table = np.random.default_rng(0).normal(size=(2, 5, 3)).astype(np.float32)
    table[0, 4] = INFINITY
    table[1, 0] = NAN
    index = np.array([[0, 3, 3], [1, 2, 4]], np.int32)
    want = np.stack([rows[i] for rows, i in zip(table, index, strict=True)])
    same(forward("take", [Operand(table), Operand(index, True, 5)], {}, device), want)
    same(forward("take", [Operand(table), Operand(index[0], False, 5)], {}, device), table[:, index[0]])
    upstream = np.arange(18, dtype=np.float32).reshape(2, 3, 3)
    gradient = np.zeros_like(table)
    np.add.at(gradient, (np.arange(2)[:, None], index), upstream)
    same(reverse("take", [Operand(table), Operand(index, True, 5)], {}, upstream, device)[0], gradient)


def test_equal_scores_rank_by_their_places_and_a_nan_last(device: Device) -> None:
    rows = [[2.0, 5.0, 2.0, NAN, 2.0, NAN], [NAN] * 6, [1.0] * 6]
    want = [[1, 0, 2, 4, 3, 5], range(6), range(6)]
    x = np.repeat(np.array(rows, np.float32), 6, axis=0)
    index = np.tile(np.arange(6, dtype=np.int32), 3)
    got = forward("rank_of", [Operand(x), Operand(index, True, 6)], {}, device)
    same(got, np.array(want, np.float32).ravel())


@pytest.mark.parametrize("name", ["bernoulli", "uniform_like", "normal_like"])
def test_every_example_has_its_own_draw_of_a_shape_that_all_share(name: str, device: Device) -> None:
    p = np.full((257,), 0.5, np.float32)
    kind = TensorType((257,))
    request = Lowering((feed("p", (257,)),), (False,), (kind,), {}, (kind,), batch=3, key=name)
    (y,) = PRIMITIVES[name].lower(request)
    draws = execute({"y": y}, {"p": p, SEED: np.array([7, 0], np.int32)}, device)["y"]
    assert draws.shape == (3, 257)
    assert all((draws[a] != draws[b]).mean() > 0.4 for a, b in ((0, 1), (0, 2), (1, 2)))
