"""Elementwise operators without a device: numbers that are folded, types, shapes, shorter ways, and every slope."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf, isnan, nan
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphdl.compiler.reverse import gradients
from graphdl.operators.elementwise import ROWS, apply, broadcast, cast, whole_number, wrapped
from graphdl.operators.reduction import Reduction, reduce
from graphdl.operators.structure import BroadcastTo, Reshape
from graphdl.operators.tensor import Constant, Tensor, array, constant, feed, number, topological

INTS = st.integers(-(2**31), 2**31 - 1)
UNARY = {
    "exp": np.exp, "expm1": np.expm1, "log": np.log, "log1p": np.log1p, "sqrt": np.sqrt, "abs": np.abs,
    "sign": np.sign, "floor": np.floor, "ceil": np.ceil, "round": np.round, "sin": np.sin, "cos": np.cos,
    "tanh": np.tanh, "negative": np.negative, "rsqrt": lambda x: 1 / np.sqrt(x),
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)), "softplus": lambda x: np.logaddexp(x, 0),
}  # fmt: skip
BINARY = {
    "add": np.add, "subtract": np.subtract, "multiply": np.multiply, "divide": np.divide, "maximum": np.maximum,
    "minimum": np.minimum, "power": np.power, "floor_divide": np.floor_divide, "remainder": np.mod,
}  # fmt: skip
COMPARISONS = {
    "equal": np.equal, "not_equal": np.not_equal, "less": np.less, "less_equal": np.less_equal,
    "greater": np.greater, "greater_equal": np.greater_equal,
}  # fmt: skip
SPECIAL = [-2.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.5, 3.0, 40.0, -40.0]


def folded(key: str, *operands: Any) -> Any:
    """What an operator of numbers is; None if the device has to compute it."""
    return number(apply(key, *(constant(x) for x in operands)))


def same(found: Any, expected: Any) -> bool:
    return bool(isnan(found) and isnan(expected)) or found == pytest.approx(float(expected), rel=1e-12, abs=1e-300)


@pytest.mark.parametrize("key", UNARY)
def test_numbers_are_folded_as_numpy_computes_them(key: str) -> None:
    for x in (*SPECIAL, inf, -inf, nan):
        found = folded(key, x)
        with np.errstate(all="ignore"):
            expected = UNARY[key](np.float64(x))
        assert found is None or same(found, expected), (x, found, expected)
        if np.isfinite(expected) and np.isfinite(x):
            assert found is not None, x


@pytest.mark.parametrize("key", BINARY | COMPARISONS)
def test_pairs_of_numbers_are_folded_as_numpy_computes_them(key: str) -> None:
    for a in (*SPECIAL, nan):
        for b in (*SPECIAL, nan):
            with np.errstate(all="ignore"):
                expected = (BINARY | COMPARISONS)[key](np.float64(a), np.float64(b))
            found = folded(key, a, b)
            if found is None:
                assert not np.isfinite(expected), (a, b)
            elif key in COMPARISONS:
                assert found == bool(expected), (a, b)
            else:
                assert same(found, expected), (a, b, found, expected)


@given(INTS, INTS, st.sampled_from(["add", "subtract", "multiply", "maximum", "minimum", "floor_divide", "remainder"]))
def test_ints_have_32_bits_also_where_they_are_folded(a: int, b: int, key: str) -> None:
    found = folded(key, a, b)
    if b == 0 and key in ("floor_divide", "remainder"):
        assert found is None
        return
    with np.errstate(over="ignore"):
        exact = {"add": a + b, "subtract": a - b, "multiply": a * b, "maximum": max(a, b), "minimum": min(a, b),
                 "floor_divide": a // b if b else 0, "remainder": a % b if b else 0}[key]  # fmt: skip
    assert found == int(np.array(exact % 2**32, np.uint64).astype(np.uint32).view(np.int32))
    assert isinstance(found, int)


@given(st.integers(-(2**70), 2**70))
def test_an_int_that_leaves_32_bits_wraps_around(value: int) -> None:
    assert -(2**31) <= wrapped(value) < 2**31
    assert (wrapped(value) - value) % 2**32 == 0


@pytest.mark.parametrize(
    ("value", "expected"),
    [(2.9, 2), (-2.9, -2), (nan, 0), (inf, 2**31 - 1), (-inf, -(2**31)), (1e20, 2**31 - 1), (-0.5, 0)],
)
def test_a_float_becomes_the_nearest_int_towards_zero(value: float, expected: int) -> None:
    assert whole_number(value) == expected
    assert number(cast(constant(value), "int")) == expected


def test_numbers_are_converted_between_elements() -> None:
    assert number(cast(constant(3), "float")) == 3.0
    assert number(cast(constant(0.5), "bool")) is True
    assert number(cast(constant(0), "bool")) is False
    x = feed("x", (3,), "bool")
    assert cast(x, "bool") is x
    assert cast(x, "float").operation.name == "to_float_from_bool"


# ------------------------------------------------------------------------------------------------------ types, shapes


@pytest.mark.parametrize(
    ("key", "elements", "result"),
    [
        ("add", ("float", "int"), "float"), ("add", ("int", "int"), "int"), ("add", ("bool", "bool"), "int"),
        ("add", ("bool", "float"), "float"), ("divide", ("int", "int"), "float"), ("less", ("int", "float"), "bool"),
        ("equal", ("bool", "bool"), "bool"), ("logical_and", ("float", "int"), "bool"),
        ("where", ("float", "int", "int"), "int"), ("where", ("bool", "bool", "bool"), "bool"),
        ("where", ("bool", "int", "float"), "float"), ("exp", ("int",), "float"), ("abs", ("bool",), "int"),
        ("power", ("int", "int"), "float"), ("maximum", ("int", "bool"), "int"),
    ],
)  # fmt: skip
def test_elements_are_promoted(key: str, elements: tuple[Any, ...], result: str) -> None:
    y = apply(key, *(feed(f"x{k}", (3,), element) for k, element in enumerate(elements)))
    assert y.element == result


SHAPES = st.lists(st.sampled_from([1, 2, 3]), max_size=3).map(tuple)


@given(st.lists(SHAPES, min_size=1, max_size=3))
def test_shapes_broadcast_as_in_numpy(shapes: list[tuple[int, ...]]) -> None:
    try:
        expected = np.broadcast_shapes(*shapes)
    except ValueError:
        with pytest.raises(ValueError, match="do not broadcast at dimension"):
            broadcast(shapes)
        return
    assert broadcast(shapes) == expected


# ------------------------------------------------------------------------------------------------------- shorter ways

X = feed("x", (4,))


@pytest.mark.parametrize("same_as_x", [X + 0.0, 0.0 + X, X - 0.0, X * 1.0, 1.0 * X, X / 1.0, X**1.0])
def test_what_changes_nothing_is_left_out(same_as_x: Tensor) -> None:
    assert same_as_x is X


@pytest.mark.parametrize(
    ("tensor", "names"),
    [
        (X * -1.0, ["negative"]), (-(X * -1.0), []), (X / 4.0, ["multiply"]), (X / 3.0, ["divide"]),
        (X**2.0, ["multiply"]), (X**3.0, ["multiply", "multiply"]), (X**0.5, ["sqrt"]), (X**-0.5, ["rsqrt"]),
        (X**-1.0, ["divide"]), (X**2.5, ["power"]), (1.0 / X, ["divide"]), (0.0 - X, ["subtract"]),
    ],
)  # fmt: skip
def test_shorter_ways_to_the_same_value(tensor: Tensor, names: list[str]) -> None:
    assert [t.operation.name for t in topological([tensor]) if t.inputs] == names


def test_a_power_of_zero_is_one_everywhere() -> None:
    (one,) = (X**0.0).inputs
    assert number(one) == 1.0
    assert (X**0.0).shape == (4,)


def test_nothing_is_left_out_of_ints() -> None:
    n = feed("n", (4,), "int")
    assert (n + constant(0)).operation.name == "add"
    assert (n * 1.0).element == "float"


def test_a_constant_stands_second_in_a_maximum() -> None:
    assert number(apply("maximum", 0.0, X).inputs[1]) == 0.0
    assert number(apply("minimum", constant(2.0), X).inputs[1]) == 2.0


@pytest.mark.parametrize(("one", "other"), [(0.0, -0.0), (1.0, True), (1, 1.0)])
def test_constants_are_equal_when_they_are_written_alike(one: Any, other: Any) -> None:
    assert constant(one).operation == constant(one).operation
    assert hash(constant(one).operation) == hash(constant(one).operation)
    assert Constant(one) != Constant(other)
    assert array([one, 2.0]).operation != array([other, 2.0]).operation
    assert array([[nan, 1.0]]).operation == array([nan, 1.0]).operation


def test_nested_lists_are_an_array() -> None:
    made = array([[1, 2, 3], [4, 5, 6]], "int")
    assert (made.shape, made.element, made.operation.values) == ((2, 3), "int", (1, 2, 3, 4, 5, 6))  # type: ignore[attr-defined]
    assert number(array(2.0)) == 2.0
    assert number(made) is None


# ------------------------------------------------------------------------------------------------------------- slopes


def value(tensor: Tensor, arrays: Mapping[Tensor, np.ndarray]) -> np.ndarray:
    """A tensor of a gradient, in double precision."""
    if tensor in arrays:
        return arrays[tensor]
    inputs = [value(x, arrays) for x in tensor.inputs]
    match tensor.operation:
        case Constant():
            return np.float64(tensor.operation.value)
        case Reshape():
            return inputs[0].reshape(tensor.shape)
        case BroadcastTo():
            return np.broadcast_to(inputs[0], tensor.shape)
        case Reduction():
            return np.sum(inputs[0], axis=tensor.operation.axes, keepdims=True)
    fold = ROWS[tensor.operation.name].fold
    assert fold is not None
    return np.asarray(np.vectorize(fold, otypes=[np.float64])(*inputs))


SMOOTH = ["exp", "expm1", "sin", "cos", "tanh", "sigmoid", "softplus", "erf", "abs", "negative"]
POSITIVE = ["log", "log1p", "sqrt", "rsqrt"]
PAIRS = ["add", "subtract", "multiply", "divide", "power", "maximum", "minimum", "remainder"]


def check_slopes(y: Tensor, arrays: dict[Tensor, np.ndarray]) -> None:
    """The gradients of a weighted sum of ``y`` against central differences."""
    weights = feed("weights", y.shape)
    arrays = {**arrays, weights: np.random.default_rng(9).normal(size=y.shape)}
    total = reduce("sum", y * weights, range(y.rank), keep=False)
    sources = [x for x in arrays if x is not weights]
    found = [value(g, arrays) for g in gradients(total, sources)]
    for x, gradient in zip(sources, found, strict=True):
        assert gradient.shape == x.shape
        for place in np.ndindex(*x.shape):
            step = np.zeros(x.shape)
            step[place] = 1e-6
            ahead, behind = (float(value(total, {**arrays, x: arrays[x] + sign * step})) for sign in (1, -1))
            assert gradient[place] == pytest.approx((ahead - behind) / 2e-6, rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("key", [*SMOOTH, *POSITIVE])
def test_the_slope_of_a_function(key: str) -> None:
    x = feed("x", (7,))
    points = np.array([-2.3, -1.1, -0.4, 0.3, 0.9, 1.7, 3.1])
    check_slopes(apply(key, x), {x: np.abs(points) if key in POSITIVE else points})


@pytest.mark.parametrize("shapes", [((3, 2), (3, 2)), ((3, 2), (2,)), ((1, 2), (3, 1)), ((), (3,))], ids=str)
@pytest.mark.parametrize("key", PAIRS)
def test_the_slopes_of_a_function_of_two(key: str, shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    """Where an operand is repeated, the slopes of its repetitions are summed."""
    random = np.random.default_rng(1)
    a, b = feed("a", shapes[0]), feed("b", shapes[1])
    values = {a: random.uniform(0.5, 3.0, shapes[0]), b: random.uniform(0.7, 2.0, shapes[1])}
    check_slopes(apply(key, a, b), values)


def test_the_slope_of_a_choice_goes_to_what_is_chosen() -> None:
    mask, a, b = feed("mask", (5,), "bool"), feed("a", (5,)), feed("b", (5,))
    chosen = np.array([True, False, True, True, False])
    total = reduce("sum", apply("where", mask, a * 2.0, b * 3.0), (0,), keep=False)
    arrays = {mask: chosen, a: np.ones(5), b: np.ones(5)}
    found = [value(g, arrays) for g in gradients(total, [a, b])]
    np.testing.assert_array_equal(found[0], 2.0 * chosen)
    np.testing.assert_array_equal(found[1], 3.0 * ~chosen)


@pytest.mark.parametrize("key", ["maximum", "minimum"])
def test_equal_operands_share_the_slope_and_a_constant_gets_none(key: str) -> None:
    a, b = feed("a", (1,)), feed("b", (1,))
    arrays = {a: np.ones(1), b: np.ones(1)}
    both = gradients(reduce("sum", apply(key, a, b), (0,), keep=False), [a, b])
    assert [float(value(g, arrays)[0]) for g in both] == [0.5, 0.5]
    (alone,) = gradients(reduce("sum", apply(key, a, 1.0), (0,), keep=False), [a])
    assert float(value(alone, arrays)[0]) == 0.0
