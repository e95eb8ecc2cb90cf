"""Vectors: which lanes an index steps over evenly, which guards agree on all lanes, and how numbers are written."""

from __future__ import annotations

import math

import numpy as np
import pytest
from evaluating import at, holds
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from graphdl.compiler.emit import Emitter, Lanes, literal
from graphdl.compiler.expression import Tracer, domain
from graphdl.compiler.generate import Operands, widths_of
from graphdl.compiler.program import Target
from graphdl.operators.elementwise import apply
from graphdl.operators.gather import take
from graphdl.operators.index import Guard, Index, Loaded, LoopVariable
from graphdl.operators.structure import concat, pad, reshape, slice_
from graphdl.operators.tensor import Tensor, feed

WIDTH = 4
VECTOR, ROW = LoopVariable("v", 24), LoopVariable("r", 3)
LANES = Lanes(VECTOR, WIDTH)

_leaves = st.one_of(
    st.integers(-8, 8).map(Index),
    st.sampled_from([Index.of(VECTOR), Index.of(ROW), Index.of(VECTOR) + Index.of(ROW) * 24]),
)
INDICES = st.recursive(
    _leaves,
    lambda inner: st.one_of(
        st.builds(lambda a, b: a + b, inner, inner),
        st.builds(lambda a, n: a * n, inner, st.integers(-3, 3)),
        st.builds(lambda a, n: a // n, inner, st.sampled_from([2, 3, 4, 8, 12])),
        st.builds(lambda a, n: a % n, inner, st.sampled_from([2, 3, 4, 8, 12])),
    ),
    max_leaves=5,
)


def vectors() -> list[list[dict[LoopVariable, int]]]:
    """The places of the lanes of each vector that a kernel computes."""
    return [
        [{VECTOR: first + lane, ROW: row} for lane in range(WIDTH)]
        for row in range(ROW.extent)
        for first in range(0, VECTOR.extent, WIDTH)
    ]


@given(INDICES)
@settings(max_examples=300, deadline=None)
def test_lanes_step_evenly_where_it_is_said(index: Index) -> None:
    step = LANES.step(index)
    assume(step is not None)
    for places in vectors():
        numbers = [at(index, place) for place in places]
        assert numbers == [numbers[0] + lane * step for lane in range(WIDTH)]


@given(INDICES, st.integers(-10, 30), st.integers(0, 30), st.sampled_from([0, 0, 2, 4]))
@settings(max_examples=300, deadline=None)
def test_guards_agree_where_it_is_said(index: Index, low: int, length: int, divisor: int) -> None:
    guard = Guard(index, divisor=divisor) if divisor else Guard(index, low, low + length)
    assume(LANES.agree(guard))
    for places in vectors():
        assert len({holds(guard, place) for place in places}) == 1


@pytest.mark.parametrize(
    ("index", "step"),
    [
        (Index(7), 0),
        (Index.of(ROW) * 24, 0),
        (Index.of(VECTOR) * 3 + 1, 3),
        (Index.of(VECTOR) // 8, 0),
        (Index.of(VECTOR) % 8, 1),
        (Index.of(VECTOR) // 6, None),  # a vector may lie across two multiples
        (Index.of(VECTOR) // 2, None),
        ((Index.of(VECTOR) * 2) // 8, None),
        (Index.of(Loaded("n", 5, frozenset({ROW}))), 0),
        (Index.of(Loaded("n", 5, frozenset({VECTOR}))), None),
    ],
)
def test_steps(index: Index, step: int | None) -> None:
    assert LANES.step(index) == step


def test_lanes_that_begin_anywhere_share_no_quotient() -> None:
    anywhere = Lanes(VECTOR, WIDTH, aligned=False)
    assert anywhere.step(Index.of(VECTOR) * 2) == 2
    assert anywhere.step(Index.of(VECTOR) // 8) is None
    assert not anywhere.agree(Guard(Index.of(VECTOR), 4, 20))


@pytest.mark.parametrize(
    ("value", "element", "text"),
    [
        (1.5, "float", "1.5f"),
        (2, "float", "2.0f"),
        (-0.0, "float", "-0.0f"),
        (-2.5, "float", "(-2.5f)"),
        (1e30, "float", "1e+30f"),
        (math.inf, "float", "INFINITY"),
        (-math.inf, "float", "(-INFINITY)"),
        (math.nan, "float", "NAN"),
        (7, "int", "7"),
        (-(2**31), "int", "INT_MIN"),
        (True, "bool", "1"),
        (False, "bool", "0"),
    ],
)
def test_numbers(value: float, element: str, text: str) -> None:
    assert literal(value, element) == text  # type: ignore[arg-type]


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_a_float_is_written_exactly(value: float) -> None:
    text = literal(value, "float").strip("()").removesuffix("f")
    assert np.float32(text) == np.float32(value)


def emitted(tensor: Tensor, strides: dict[Tensor, tuple[int, ...]], width: int) -> list[str]:
    """The statements that compute a tensor with its last dimension in vectors of ``width``."""
    variables = domain(tensor.shape)
    expression = Tracer(strides).trace(tensor, tuple(Index.of(v) for v in variables))
    emitter = Emitter(Lanes(variables[-1], width) if width > 1 else None, Operands(), {})
    emitter.keep(expression)
    return emitter.lines


def test_what_lies_side_by_side_is_one_vector() -> None:
    x = feed("x", (5, 16))
    assert emitted(x, {x: (16, 1)}, 4)[0] == "const float4 t1 = LOAD_VECTOR(float, 4, p0 + (i0 * 16 + i1));"


def test_what_is_the_same_for_all_lanes_stays_a_scalar() -> None:
    x, row = feed("x", (5, 16)), feed("row", (5, 1))
    lines = emitted(x * apply("exp", row), {x: (16, 1), row: (1, 1)}, 4)
    assert [line.split(" ")[1] for line in lines if "exp" in line or "p1" in line] == ["float", "float"]


def test_what_is_spread_evenly_is_gathered() -> None:
    x = feed("x", (5, 16))
    lines = emitted(x, {x: (1, 5)}, 4)
    assert lines[-2:-1] == ["const float4 t2 = (float4)(p0[t1 + 0], p0[t1 + 5], p0[t1 + 10], p0[t1 + 15]);"]


def test_a_shared_value_is_computed_once_in_the_text() -> None:
    x = feed("x", (16,))
    shared = apply("exp", x)
    assert sum("exp(" in line for line in emitted(shared * shared + shared, {x: (1,)}, 4)) == 1


def test_a_value_inside_a_case_is_not_used_outside_of_it() -> None:
    x = feed("x", (8,))
    shared = apply("exp", x)
    joined = concat([shared, shared * 2.0], 0)
    lines = emitted(joined + 1.0, {x: (1,)}, 1)
    depth, declared_at = 0, {}
    for line in lines:
        for name in [word.strip("();") for word in line.split() if word.strip("();") in declared_at]:
            assert depth >= declared_at[name] or line.startswith("}")
        if line.startswith("const"):
            declared_at[line.split()[2]] = depth
        depth += line.count("{") - line.count("}")
        declared_at = {name: at_depth for name, at_depth in declared_at.items() if at_depth <= depth}
    assert depth == 0


TARGET = Target("cpu", vector_width=8, compute_units=2)


@pytest.mark.parametrize(
    ("tensor", "main", "rest"),
    [
        (lambda x: x, 8, 1),  # 24 elements a row
        (lambda x: slice_(x, (0, 0), (1, 1), (3, 20)), 8, 4),
        (lambda x: slice_(x, (0, 0), (1, 1), (3, 7)), 4, 1),
        (lambda x: pad(x, (0, 8), (0, 0)), 8, 1),
        (lambda x: pad(x, (0, 4), (0, 0)), 4, 1),
        (lambda x: pad(x, (0, 1), (0, 0)), 1, 1),
        (lambda x: reshape(x, (9, 8)), 8, 1),
    ],
)
def test_the_widest_vectors_that_fit(tensor, main: int, rest: int) -> None:
    x = feed("x", (3, 24))
    made = tensor(x)
    variables = domain(made.shape)
    expression = Tracer({x: (24, 1)}).trace(made, tuple(Index.of(v) for v in variables))
    widths = widths_of(variables[-1], [expression], [Index.of(variables[-1])], TARGET)
    assert widths.main == main
    assert made.shape[-1] % main == 0 or widths.rest == rest


def test_a_vector_does_not_steer_a_view() -> None:
    table, rows = feed("table", (5, 16)), feed("rows", (16,), "int")
    made = take(table, rows, known=True)
    variables = domain(made.shape)
    expression = Tracer({table: (16, 1), rows: (1,)}).trace(made, tuple(Index.of(v) for v in variables))
    assert Lanes(variables[1], 8).can_run([expression])  # along the rows of the table
    assert not Lanes(variables[0], 8).can_run([expression])
