"""Preparation: long reductions in two steps, hand-written kernels in the form that is chosen, wholes without copies."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphdl.compiler.assembly import MANY, Assembled, assemble
from graphdl.compiler.prepare import prepare
from graphdl.compiler.program import Target, Tuning
from graphdl.compiler.reverse import gradients
from graphdl.operators.convolution import Geometry, convolution
from graphdl.operators.elementwise import apply
from graphdl.operators.kernels.family import Prepared
from graphdl.operators.matmul import matmul
from graphdl.operators.reduction import Reduction, reduce
from graphdl.operators.structure import Reshape, concat, pad, reshape, slice_, transpose
from graphdl.operators.tensor import Tensor, feed, topological

EAGER = Tuning(long_reduction=64)
CPU = Target("cpu", vector_width=8, compute_units=2, tuning=EAGER)
GPU = Target("gpu", vector_width=4, compute_units=4, tuning=Tuning(long_reduction=64, gpu_shares=8))


def prepared(y: Tensor, target: Target = CPU, **more: Any) -> Tensor:
    (made,) = prepare({"y": y}, target, **more).values()
    return made


def reductions(y: Tensor) -> list[Tensor]:
    return [t for t in topological([y]) if isinstance(t.operation, Reduction)]


def value(tensor: Tensor, array: np.ndarray) -> np.ndarray:
    """A reduction in several steps."""
    if not tensor.inputs:
        return array
    inner = value(tensor.inputs[0], array)
    if isinstance(tensor.operation, Reshape):
        return inner.reshape(tensor.shape)
    assert isinstance(tensor.operation, Reduction)
    function = {"sum": np.sum, "max": np.max, "min": np.min}[tensor.operation.kind]
    return np.asarray(function(inner, axis=tensor.operation.axes, keepdims=True))


@given(
    st.lists(st.integers(1, 40), min_size=1, max_size=4),
    st.data(),
    st.sampled_from(["sum", "max", "min"]),
    st.sampled_from([CPU, GPU]),
)
@settings(max_examples=60, deadline=None)
def test_a_reduction_in_several_steps_is_the_same(
    shape: list[int], data: st.DataObject, kind: str, target: Target
) -> None:
    axes = data.draw(st.lists(st.sampled_from(range(len(shape))), min_size=1, unique=True))
    x = feed("x", tuple(shape))
    y = reduce(kind, x, axes)
    made = prepared(y, target)
    assert (made.shape, made.element) == (y.shape, y.element)
    array = np.random.default_rng(0).integers(-9, 9, shape).astype(np.float64)
    np.testing.assert_array_equal(value(made, array), value(y, array))


@pytest.mark.parametrize(
    ("shape", "axes", "steps"),
    [
        ((4096,), (0,), 2),
        ((64, 64), (0, 1), 2),
        ((4096, 3), (0,), 2),
        ((4096, 40), (0,), 2),  # five vectors of results for eight shares of the work
        ((64,), (0,), 2),
        ((4 * 1033,), (0,), 2),  # four parts are enough
        ((4097,), (0,), 2),  # 17 parts of 241
        ((4099,), (0,), 1),  # a prime number has no parts
        ((2 * 2053,), (0,), 1),  # two parts are too few
        ((4096, 500), (0,), 1),  # there are results enough for all cores
        ((63,), (0,), 1),  # too short
    ],
)
def test_which_reductions_take_several_steps(shape: tuple[int, ...], axes: tuple[int, ...], steps: int) -> None:
    assert len(reductions(prepared(reduce("sum", feed("x", shape), axes)))) == steps


def test_on_a_gpu_each_result_is_work() -> None:
    assert len(reductions(prepared(reduce("sum", feed("x", (4096, 40)), (0,)), GPU))) == 1
    assert len(reductions(prepared(reduce("sum", feed("x", (4096, 31)), (0,)), GPU))) == 2


def test_the_parts_of_a_reduction_make_work_for_all_cores() -> None:
    first, last = reductions(prepared(reduce("sum", feed("x", (4096,)), (0,))))
    assert first.shape == (64, 1)
    assert last.shape in ((1, 1), (1,))


def test_the_place_of_the_greatest_is_not_found_in_parts() -> None:
    y = reduce("argmax", feed("x", (4096,)), (0,))
    assert prepared(y) is y


def test_short_reductions_stay_as_they_are_by_default() -> None:
    y = reduce("sum", feed("x", (4096,)), (0,))
    assert prepared(y, Target("cpu", vector_width=8, compute_units=2)) is y
    long = reduce("sum", feed("x", (1 << 16,)), (0,))
    assert len(reductions(prepared(long, Target("cpu", vector_width=8, compute_units=2)))) == 2


# ---------------------------------------------------------------------------------------------- hand-written kernels


def kernels(y: Tensor) -> list[Tensor]:
    return [t for t in topological([y]) if isinstance(t.operation, Prepared)]


def test_the_form_is_the_one_that_is_chosen() -> None:
    y = matmul(feed("a", (1, 40, 50)), feed("b", (1, 50, 60)))
    asked = []

    def last(family: Any, problem: Any, target: Target) -> Any:
        asked.append((family.name, problem))
        return family.candidates(problem, target)[-1]

    (kernel,) = kernels(prepared(y, choose=last))
    family, problem = kernel.operation.family, kernel.operation.problem  # type: ignore[attr-defined]
    assert asked == [("matmul", problem)]
    assert kernel.operation.candidate == family.candidates(problem, CPU)[-1]  # type: ignore[attr-defined]


def test_padding_of_an_input_is_left_out_of_its_gradient() -> None:
    """The gradient of what lies within the padding is computed alone."""
    x, w = feed("x", (2, 3, 6, 7)), feed("w", (4, 3, 3, 3))
    y = convolution(pad(x, (0, 0, 1, 1), (0, 0, 1, 1)), w, Geometry((1, 1), (1, 1), 1))
    (slope,) = gradients(reduce("sum", y * y, range(4), keep=False), [x])
    made = prepared(slope)
    assert made.shape == x.shape
    (kernel,) = (t for t in kernels(made) if t.operation.name == "input_gradient")
    assert kernel.shape == x.shape
    assert kernel.operation.problem.padding == ((1, 1), (1, 1))  # type: ignore[attr-defined]


def test_a_slice_that_leaves_out_more_than_a_border_is_made_of_the_whole() -> None:
    x, w = feed("x", (2, 3, 6, 7)), feed("w", (4, 3, 3, 3))
    y = convolution(x, w, Geometry((1, 1), (1, 1), 1))
    (slope,) = gradients(reduce("sum", y * y, range(4), keep=False), [x])
    made = prepared(slice_(slope, (0, 1, 0, 0), (1, 1, 1, 1), (2, 2, 6, 7)))
    (kernel,) = (t for t in kernels(made) if t.operation.name == "input_gradient")
    assert kernel.shape == x.shape
    assert made.shape == (2, 2, 6, 7)


# ------------------------------------------------------------------------------------------------------------ wholes


def computed(*shape: int, name: str = "x") -> Tensor:
    return apply("exp", feed(name, shape))


def assembled(y: Tensor) -> Tensor | None:
    """The assembled concatenation among what a result is made of, where there is one."""
    (made,) = assemble({"y": y}).values()
    found = [t for t in topological([made]) if isinstance(t.operation, Assembled)]
    return found[0] if found else None


def test_many_pieces_are_stored_where_they_belong() -> None:
    pieces = [computed(2, 3, name=f"x{k}") for k in range(MANY + 1)]
    whole = assembled(apply("tanh", concat(pieces, 1)))
    assert whole is not None
    assert list(whole.inputs) == pieces
    assert whole.operation.axis == 1  # type: ignore[attr-defined]
    assert whole.shape == (2, 3 * (MANY + 1))
    assert assembled(apply("tanh", concat(pieces[:MANY], 1))) is None, "few pieces are chosen from, element by element"


def test_a_piece_that_has_a_place_already_is_copied() -> None:
    pieces = [computed(2, 3, name=f"x{k}") for k in range(MANY + 1)]
    twice = [pieces[0], *pieces]
    whole = assembled(apply("tanh", concat(twice, 1)))
    assert whole is not None
    names = [x.operation.name for x in whole.inputs]
    assert names.count("copy") == 1
    outside = [feed("outside", (2, 3)), *pieces]
    whole = assembled(apply("tanh", concat(outside, 1)))
    assert whole is not None
    assert [x.operation.name for x in whole.inputs][:2] == ["copy", "exp"]


def test_dimensions_of_one_are_seen_through_and_others_are_not() -> None:
    rows = [reshape(computed(5, name=f"x{k}"), (1, 5)) for k in range(MANY + 1)]
    whole = assembled(apply("tanh", concat(rows, 0)))
    assert whole is not None
    assert [x.shape for x in whole.inputs] == [(5,)] * (MANY + 1)
    assert whole.operation.slots == ((1, 5),) * (MANY + 1)  # type: ignore[attr-defined]
    turned = [reshape(computed(6, name=f"x{k}"), (2, 3)) for k in range(MANY + 1)]
    whole = assembled(apply("tanh", concat(turned, 0)))
    assert whole is not None
    assert {x.operation.name for x in whole.inputs} == {"copy"}


def test_a_result_keeps_memory_of_its_own() -> None:
    pieces = [computed(2, 3, name=f"x{k}") for k in range(MANY + 1)]
    made = assemble({"whole": apply("tanh", concat(pieces, 1)), "piece": pieces[0]})
    (whole,) = (t for t in topological(made.values()) if isinstance(t.operation, Assembled))
    assert whole.inputs[0].operation.name == "copy"
    assert list(whole.inputs[1:]) == pieces[1:]


def test_regions_lie_side_by_side_in_any_layout() -> None:
    """Each element of the whole belongs to one piece, whichever way the whole lies in memory."""
    pieces = tuple(computed(2, n, 3, name=f"x{n}") for n in (1, 4, 2))
    whole = Tensor(Assembled(1, tuple(x.shape for x in pieces)), pieces, (2, 7, 3))
    for strides in ((21, 3, 1), (1, 2, 14), (21, 1, 7)):
        seen = np.zeros(42, int)
        for piece, start, steps in whole.operation.regions(whole, strides):  # type: ignore[attr-defined]
            for place in np.ndindex(*piece.shape):
                seen[start + sum(a * b for a, b in zip(place, steps, strict=True))] += 1
        assert (seen == 1).all()


def test_a_concatenation_that_a_product_reads_is_assembled() -> None:
    pieces = [computed(8, n, name=f"x{n}") for n in (3, 4)]
    product = matmul(transpose(concat(pieces, 1), (1, 0)), feed("w", (8, 5)))
    whole = assembled(prepared(reshape(product, (7, 5))))
    assert whole is not None
    assert list(whole.inputs) == pieces
