"""Expressions: views vanish into indices, shared values are traced once, loop variables can be replaced."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from evaluating import at, evaluated, everywhere, value
from hypothesis import given, settings
from hypothesis import strategies as st

from graphdl.compiler.expression import (
    Apply,
    Choose,
    Load,
    Rebinder,
    Result,
    Tracer,
    broadcast_index,
    domain,
    indices_of,
    walk,
)
from graphdl.operators.elementwise import apply
from graphdl.operators.gather import pick, take
from graphdl.operators.index import Index, LoopVariable
from graphdl.operators.structure import broadcast_to, concat, pad, pad_to, reshape, slice_, transpose
from graphdl.operators.tensor import Tensor, feed
from graphdl.operators.window import im2col

X = np.arange(2 * 3 * 4, dtype=np.float32).reshape(2, 3, 4) - 7


def spread(x: np.ndarray) -> np.ndarray:
    made = np.zeros((2, 7, 4), np.float32)
    made[:, 1::2] = x
    return made


def windows(x: np.ndarray) -> np.ndarray:
    return np.lib.stride_tricks.sliding_window_view(x, (2, 3), (1, 2))[:, :, ::1]


VIEWS: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[np.ndarray], np.ndarray]]] = {
    "reshape": (lambda x: reshape(x, (4, 6)), lambda x: x.reshape(4, 6)),
    "reshape to coprime lengths": (lambda x: reshape(x, (8, 3)), lambda x: x.reshape(8, 3)),
    "transpose": (lambda x: transpose(x, (2, 0, 1)), lambda x: x.transpose(2, 0, 1)),
    "transposed reshape": (
        lambda x: reshape(transpose(x, (1, 0, 2)), (4, 6)),
        lambda x: x.transpose(1, 0, 2).reshape(4, 6),
    ),
    "slice": (lambda x: slice_(x, (0, 1, 0), (1, 1, 2), (2, 2, 2)), lambda x: x[:, 1:3, ::2]),
    "backwards": (lambda x: slice_(x, (0, 2, 3), (1, -1, -1), (2, 3, 4)), lambda x: x[:, ::-1, ::-1]),
    "pad": (
        lambda x: pad(x, (0, 1, 2), (0, 0, 1), 5.0),
        lambda x: np.pad(x, ((0, 0), (1, 0), (2, 1)), constant_values=5),
    ),
    "every other row": (lambda x: pad_to(x, (2, 7, 4), (0, 1, 0), (1, 2, 1)), spread),
    "broadcast": (
        lambda x: broadcast_to(slice_(x, (0, 1, 0), (1, 1, 1), (2, 1, 4)), (2, 5, 4)),
        lambda x: np.broadcast_to(x[:, 1:2], (2, 5, 4)),
    ),
    "concat": (lambda x: concat([x, x * 2.0, x], 1), lambda x: np.concatenate([x, x * 2, x], 1)),
    "windows": (lambda x: im2col(x, (2, 3), (1, 1)), windows),
    "pad of a transposed slice": (
        lambda x: pad(transpose(slice_(x, (0, 0, 1), (1, 1, 1), (2, 3, 2)), (2, 1, 0)), (1, 0, 0), (1, 0, 0)),
        lambda x: np.pad(x[:, :, 1:3].transpose(2, 1, 0), ((1, 1), (0, 0), (0, 0))),
    ),
}


@pytest.mark.parametrize("name", VIEWS)
def test_a_view_is_read_where_numpy_reads_it(name: str) -> None:
    view, reference = VIEWS[name]
    x = feed("x", X.shape)
    np.testing.assert_array_equal(evaluated(view(x), {x: X}), reference(X))


@given(st.permutations(sorted(VIEWS)))
@settings(max_examples=30, deadline=None)
def test_views_of_views(names: list[str]) -> None:
    """Views that fit one another, in any order: each takes what the one before has made."""
    x = feed("x", X.shape)
    tensor, wanted = x, X
    for name in names:
        view, reference = VIEWS[name]
        if tensor.shape == X.shape:
            tensor, wanted = view(tensor), reference(wanted)
        elif tensor.size == X.size:
            tensor, wanted = view(reshape(tensor, X.shape)), reference(wanted.reshape(X.shape))
    np.testing.assert_array_equal(evaluated(tensor, {x: X}), wanted)


def test_formulas_broadcast_as_numpy_does() -> None:
    x, row = feed("x", (2, 3, 4)), feed("row", (4,))
    given_row = np.float32([1, -2, 3, -4])
    formula = apply("maximum", x + row * 2.0, slice_(x, (0, 0, 0), (1, 1, 1), (2, 1, 4)))
    np.testing.assert_array_equal(
        evaluated(formula, {x: X, row: given_row}), np.maximum(X + given_row * 2, X[:, :1])
    )  # fmt: skip


def test_data_steers_views() -> None:
    table, rows = feed("table", (5, 3)), feed("rows", (2, 2), "int")
    values, chosen = np.arange(15, dtype=np.float32).reshape(5, 3), np.int32([[4, 0], [2, 2]])
    np.testing.assert_array_equal(
        evaluated(take(table, rows, known=True), {table: values, rows: chosen}), values[chosen]
    )
    x, index = feed("x", (2, 3)), feed("index", (2,), "int")
    picked = evaluated(pick(x, index, known=True), {x: values[:2], index: np.int32([2, 0])})
    np.testing.assert_array_equal(picked, [2, 3])


def test_an_index_outside_finds_what_the_view_says() -> None:
    table, rows = feed("table", (3, 2)), feed("rows", (3,), "int")
    values, chosen = np.float32([[1, 2], [3, 4], [5, 6]]), np.int32([-1, 1, 3])
    found = evaluated(take(table, rows, known=False), {table: values, rows: chosen})
    np.testing.assert_array_equal(found, [[np.nan, np.nan], [3, 4], [np.nan, np.nan]])


def test_a_plain_view_is_one_load() -> None:
    x = feed("x", (6, 4))
    viewed = transpose(reshape(slice_(x, (1, 0), (1, 1), (4, 4)), (2, 2, 4)), (2, 1, 0))
    a, b, c = domain(viewed.shape)
    expression = Tracer({x: (4, 1)}).trace(viewed, tuple(map(Index.of, (a, b, c))))
    assert isinstance(expression, Load)
    assert dict(expression.address.terms) == {a: 1, b: 4, c: 8}
    assert expression.address.constant == 4


def test_strides_are_those_of_the_layout() -> None:
    x = feed("x", (2, 3))
    i, j = domain(x.shape)
    expression = Tracer({x: (1, 2)}).trace(x, (Index.of(i), Index.of(j)))
    assert isinstance(expression, Load)
    assert dict(expression.address.terms) == {i: 1, j: 2}


def test_a_shared_value_is_traced_once() -> None:
    x = feed("x", (3,))
    shared = apply("exp", x)
    (i,) = domain(x.shape)
    expression = Tracer({x: (1,)}).trace(shared * shared + shared, (Index.of(i),))
    applied = [e for e in walk([expression]) if isinstance(e, Apply) and e.operation.key == "exp"]
    assert len(applied) == 1
    assert len([e for e in walk([expression]) if isinstance(e, Load)]) == 1


def test_own_results_are_not_computed_again() -> None:
    x = feed("x", (3,))
    made = apply("exp", x)
    (i,) = domain(x.shape)
    tracer = Tracer({x: (1,), made: (1,)}, results=[made])
    (operand, _) = tracer.trace(made * 2.0, (Index.of(i),)).operands  # type: ignore[attr-defined]
    assert isinstance(operand, Result)
    assert isinstance(tracer.trace(made, (Index.of(i),), root=True), Apply)


def test_cases_that_cannot_be_are_dropped() -> None:
    x = feed("x", (2, 5))
    joined = slice_(concat([x, x * 2.0, x * 3.0], 1), (0, 4), (1, 1), (2, 3))  # of the first two pieces alone
    expression = Tracer({x: (5, 1)}).trace(joined, tuple(Index.of(v) for v in domain(joined.shape)))
    assert isinstance(expression, Choose)
    assert len(expression.cases) == 2
    inner = slice_(concat([x, x * 2.0], 1), (0, 6), (1, 1), (2, 3))  # inside the second piece
    found = evaluated(inner, {x: X.reshape(2, 12)[:, :5]})
    np.testing.assert_array_equal(found, 2 * X.reshape(2, 12)[:, 1:4])


def test_what_is_not_stored_must_have_a_formula() -> None:
    from graphdl.operators.reduction import reduce

    total = reduce("sum", feed("x", (3, 4)), (1,))
    with pytest.raises(AssertionError, match="is not realized"):
        Tracer({}).trace(total, (Index(0), Index(0)))


def test_a_broadcast_operand_is_read_at_its_own_place() -> None:
    i, j, k = (Index.of(v) for v in domain((2, 3, 4)))
    assert broadcast_index((i, j, k), feed("x", (3, 1))) == (j, Index(0))
    assert broadcast_index((i, j, k), feed("x", ())) == ()


def test_a_dimension_of_one_has_no_variable() -> None:
    assert Index.of(domain((1,))[0]) == Index(0)
    assert [v.name for v in domain((2, 3), "r")] == ["r0", "r1"]


def test_variables_can_be_replaced() -> None:
    """Two loops as one, and the other way round; what was one value stays one."""
    x = feed("x", (4, 6))
    shared = apply("exp", pad(x, (0, 1), (0, 1)))
    i, j = domain((4, 8))
    expression = Tracer({x: (6, 1)}).trace(shared * shared, (Index.of(i), Index.of(j)))
    flat = LoopVariable("flat", 32)
    rebinder = Rebinder({i: Index.of(flat) // 8, j: Index.of(flat) % 8})
    rebound = rebinder.expression(expression)
    assert len(list(walk([rebound]))) == len(list(walk([expression])))
    arrays = {x: np.random.default_rng(0).normal(size=(4, 6)).astype(np.float32)}
    for place in everywhere((i, j)):
        number = {flat: place[i] * 8 + place[j]}
        assert value(rebound, number, arrays) == value(expression, place, arrays)
    for old, new in zip(indices_of([expression]), indices_of([rebound]), strict=True):
        assert all(at(old, p) == at(new, {flat: p[i] * 8 + p[j]}) for p in everywhere((i, j)))


def test_replacing_variables_reaches_loaded_integers() -> None:
    table, rows = feed("table", (5, 3)), feed("rows", (4,), "int")
    i, j = domain((4, 3))
    expression = Tracer({table: (3, 1), rows: (1,)}).trace(take(table, rows, known=True), (Index.of(i), Index.of(j)))
    other = LoopVariable("other", 4)
    rebound = Rebinder({i: Index.of(other) * -1 + 3}).expression(expression)
    arrays = {table: np.arange(15, dtype=np.float32).reshape(5, 3), rows: np.int32([4, 0, 3, 1])}
    for place in everywhere((other, j)):
        mirrored = {i: 3 - place[other], j: place[j]}
        assert value(rebound, place, arrays) == value(expression, mirrored, arrays)
