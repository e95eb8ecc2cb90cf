"""Reduction kernels on the host: every kind along every dimension, with NaN, ties, signs and long sums."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from evaluating import value
from host_kernels import HostKernels

from graphdl.compiler.build import build
from graphdl.compiler.combining import combining, kind_of
from graphdl.compiler.expression import Tracer, domain
from graphdl.compiler.program import Target
from graphdl.operators.elementwise import apply
from graphdl.operators.index import Index
from graphdl.operators.reduction import reduce
from graphdl.operators.structure import transpose
from graphdl.operators.tensor import Tensor, feed

FORMS = {
    "wide cpu": Target("cpu", vector_width=16, compute_units=2),
    "narrow cpu": Target("cpu", vector_width=4, compute_units=1),
    "gpu": Target("gpu", vector_width=4, compute_units=8),
}
SHAPES = {"x": (5, 33, 3), "long": (2, 2117), "tall": (2117, 3), "spoilt": (7, 21), "ties": (9, 40)}
AXES = {"x": [(0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2)], "long": [(1,), (0, 1)], "tall": [(0,)],
        "spoilt": [(0,), (1,), (0, 1)], "ties": [(0,), (1,), (0, 1)]}  # fmt: skip
KINDS = ("sum", "max", "min", "argmax")


def given() -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    arrays = {name: random.normal(size=shape).astype(np.float32) for name, shape in SHAPES.items()}
    spoilt = arrays["spoilt"]
    spoilt[1, 4], spoilt[3, 17], spoilt[3, 18] = np.nan, np.nan, np.nan
    spoilt[5, :], spoilt[6, 2] = -np.inf, np.inf
    arrays["ties"] = random.integers(0, 3, SHAPES["ties"]).astype(np.float32)
    arrays["ints"] = random.integers(-(2**31), 2**31, (6, 35)).astype(np.int32)
    arrays["ints"][2, 5] = arrays["ints"][2, 30] = 2**31 - 1
    arrays["ints"][4, :] = -(2**31)
    arrays["many"] = np.full(100_000, 0.1, np.float32)
    return arrays


GIVEN = given()


def at_once(array: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    """The kept dimensions, then all that are reduced as one."""
    kept = [a for a in range(array.ndim) if a not in axes]
    return array.transpose(*kept, *axes).reshape(*(array.shape[a] for a in kept), -1)


def wanted(kind: str, array: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    """A NaN is the greatest and the least; of equals the first counts, also of NaNs."""
    rows = at_once(array, axes)
    if kind == "argmax":
        return np.asarray(rows.argmax(-1), np.int32)  # NumPy, too, takes the first NaN
    function: Callable[..., Any] = {"sum": np.sum, "max": np.max, "min": np.min}[kind]
    return np.asarray(function(rows.astype(np.float64), axis=-1))


def cases() -> dict[str, tuple[Tensor, str, str, tuple[int, ...]]]:
    found = {}
    sources = {name: feed(name, shape) for name, shape in SHAPES.items()}
    for name, x in sources.items():
        for axes in AXES[name]:
            for kind in KINDS:
                found[f"{kind} of {name} over {axes}"] = reduce(kind, x, axes, keep=False), kind, name, axes
    ints = feed("ints", (6, 35), "int")
    for axes in ((0,), (1,), (0, 1)):
        for kind in ("max", "min", "argmax"):
            found[f"{kind} of ints over {axes}"] = reduce(kind, ints, axes, keep=False), kind, "ints", axes
    return found


def composed() -> dict[str, tuple[Tensor, np.ndarray]]:
    """What is computed before and after reductions, and what it comes to."""
    x, long = feed("x", SHAPES["x"]), feed("long", SHAPES["long"])
    a, b = GIVEN["x"].astype(np.float64), GIVEN["long"].astype(np.float64)
    return {
        "norm": (reduce("sum", x * x, (1,)) ** 0.5, np.sqrt((a * a).sum(1, keepdims=True))),
        "negated": (reduce("sum", -long, (1,), keep=False), -b.sum(1)),
        "difference": (reduce("sum", -(x * 2.0), (0, 1), keep=False) - 1.0, -(2 * a).sum((0, 1)) - 1),
        "both": (reduce("max", long, (1,)) - reduce("min", long, (1,)), np.ptp(b, axis=1, keepdims=True)),
        "turned": (transpose(reduce("sum", x, (1,)), (2, 1, 0)) * 3.0, 3 * a.sum(1, keepdims=True).transpose(2, 1, 0)),
        "nothing": (reduce("sum", -(x * 0.0), (1,), keep=False), np.zeros((5, 3))),
        "centred": (x - reduce("sum", x, (0, 1)) / 165, a - a.sum((0, 1), keepdims=True) / 165),
    }


@pytest.fixture(scope="module", params=FORMS)
def results(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    """All results of one form, as one program: what takes the time is the compiler's start."""
    if shutil.which("g++") is None:
        pytest.skip("needs g++")
    fetches = {name: case[0] for name, case in cases().items()} | {name: case[0] for name, case in composed().items()}
    fetches["many"] = reduce("sum", feed("many", GIVEN["many"].shape), (0,))
    program = build(fetches, {}, FORMS[request.param])
    return HostKernels([program], tmp_path_factory.mktemp("kernels")).run(program, GIVEN)


def test_every_kind_along_every_dimension(results: dict[str, np.ndarray]) -> None:
    for name, (tensor, kind, source, axes) in cases().items():
        with np.errstate(invalid="ignore"):
            expected = wanted(kind, GIVEN[source], axes)
        assert results[name].shape == expected.shape == tensor.shape, name
        if kind == "sum":
            np.testing.assert_allclose(results[name], expected, rtol=1e-5, atol=1e-4, err_msg=name)
        else:
            np.testing.assert_array_equal(results[name], expected.astype(results[name].dtype), err_msg=name)


def test_what_is_computed_before_and_after_a_reduction(results: dict[str, np.ndarray]) -> None:
    for name, (_, expected) in composed().items():
        np.testing.assert_allclose(results[name], expected, rtol=2e-5, atol=2e-5, err_msg=name)
    assert not np.signbit(results["nothing"]).any(), "a sum of nothing but zeros is 0, not -0"


def test_long_sums_lose_little(results: dict[str, np.ndarray]) -> None:
    """100,000 times 0.1: added up one by one in single precision it would be off in the third digit."""
    assert results["many"] == pytest.approx(100_000 * np.float64(np.float32(0.1)), rel=2e-6)


# --------------------------------------------------------------------------------------------------- groups of a GPU


GPU = FORMS["gpu"]


@pytest.mark.parametrize(
    ("reduced", "target", "groups", "size"),
    [
        (reduce("sum", feed("x", (6, 300)), (1,)), GPU, 6, 64),
        (reduce("max", feed("x", (2, 3, 128)), (2,)), GPU, 6, 64),
        (reduce("sum", feed("x", (2, 3, 100)), (0, 1, 2)), GPU, 1, 64),
        (reduce("min", feed("x", (6, 300)), (1,)), replace(GPU, max_work_group=48), 6, 32),
        (reduce("sum", feed("x", (6, 127)), (1,)), GPU, 0, 64),
        (reduce("sum", feed("x", (6, 300)), (0,)), GPU, 0, 64),
        (reduce("argmax", feed("x", (6, 300)), (1,)), GPU, 0, 64),
        (reduce("sum", feed("x", (6, 300)), (1,)), replace(GPU, max_work_group=1), 0, 1),
        (reduce("sum", feed("x", (6, 300)), (1,)), FORMS["wide cpu"], 0, 1),
    ],
    ids=[
        "rows",
        "rows of a block",
        "everything",
        "small groups",
        "short rows",
        "columns",
        "positions",
        "no groups",
        "cpu",
    ],
)
def test_a_group_of_a_gpu_reduces_a_long_row(reduced: Tensor, target: Target, groups: int, size: int) -> None:
    program = build({"y": reduced}, {}, target)
    (launch,), (kernel,) = program.launches, program.kernels.values()
    assert launch.local_size == (size,)
    assert ("barrier" in kernel.source) == (groups > 0)
    if groups:
        assert launch.global_size == (groups * size,)


def test_reductions_of_one_pass_share_a_group() -> None:
    x = feed("x", (6, 300))
    program = build({"largest": reduce("max", x, (1,)), "norm": reduce("sum", x * x, (1,)) ** 0.5}, {}, GPU)
    sources = [kernel.source for kernel in program.kernels.values()]
    assert [source.count("_shared[64];") for source in sources] == [2]


# ------------------------------------------------------------------------------------------------- signs of summands


@pytest.mark.parametrize(
    ("summand", "negated"),
    [
        (lambda x: -x, True),
        (lambda x: x, False),
        (lambda x: apply("negative", -x), False),
        (lambda x: -x * x, True),
        (lambda x: -x * -x, False),
        (lambda x: x * -3.0, True),
        (lambda x: -x / 2.0, True),
        (lambda x: apply("exp", -x), False),
        (lambda x: -apply("exp", -x), True),
        (lambda x: -x + 1.0, False),
    ],
)
def test_a_sign_before_a_whole_summand_leaves_the_sum(summand: Callable[[Tensor], Tensor], negated: bool) -> None:
    """The sum of what is left, with the sign before it, is the sum."""
    x = feed("x", (4,))
    root = reduce("sum", summand(x), (0,))
    variables = domain((4,))
    expression = Tracer({x: (1,)}).trace(root.inputs[0], (Index.of(variables[0]),))
    made = combining(root, expression, Index.of(variables[0]), "r")
    assert made.result().startswith("(0.0f - ") == negated
    arrays = {x: np.float32([0.5, -1.25, 2.0, 3.5])}
    for place in range(4):
        before = value(expression, {variables[0]: place}, arrays)
        after = value(made.expression, {variables[0]: place}, arrays)
        assert (-after if negated else after) == pytest.approx(before)


def test_the_sign_of_what_is_no_sum_stays() -> None:
    x = feed("x", (4,))
    root = reduce("max", -x, (0,))
    variables = domain((4,))
    expression = Tracer({x: (1,)}).trace(root.inputs[0], (Index.of(variables[0]),))
    assert combining(root, expression, Index(0), "r").expression is expression
    assert kind_of(root).counts is False
    assert kind_of(reduce("argmax", x, (0,))).counts is True
