"""Laws that every view keeps: its reverse is its adjoint, an inverse leads back, many applications are one view."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product

import numpy as np
import pytest
from evaluating import at, evaluated

from graphdl.compiler.expression import domain
from graphdl.operators.gather import GatherRows
from graphdl.operators.index import Index
from graphdl.operators.resize import Collect, Places, Return, spread
from graphdl.operators.structure import (
    Concat,
    broadcast_to,
    concat,
    pad,
    pad_to,
    regroup,
    reshape,
    slice_,
    transpose,
)
from graphdl.operators.tensor import Tensor, View, feed
from graphdl.operators.window import Col2im, Cover, Rewindow, Uncover, im2col

COUNT = 3


def col2im(x: Tensor, kernel: tuple[int, int], stride: tuple[int, int], dilation: tuple[int, int]) -> Tensor:
    size = tuple(
        (n - 1) * s + d * (k - 1) + 1 for n, k, s, d in zip(x.shape[-4:-2], kernel, stride, dilation, strict=True)
    )
    return Tensor(Col2im(kernel, stride, dilation, size), (x,), (*x.shape[:-4], *size, *kernel))  # type: ignore[arg-type]


def rewindow(x: Tensor, kernel: tuple[int, int], stride: tuple[int, int], dilation: tuple[int, int]) -> Tensor:
    size = tuple(
        (n - d * (k - 1) - 1) // s + 1 for n, k, s, d in zip(x.shape[-4:-2], kernel, stride, dilation, strict=True)
    )
    return Tensor(Rewindow(kernel, stride, dilation), (x,), (*x.shape[:-4], *size, *kernel))


def cover(x: Tensor, stride: tuple[int, int]) -> Tensor:
    size = tuple((n - 1) * s + k for n, k, s in zip(x.shape[-4:-2], x.shape[-2:], stride, strict=True))
    most = tuple(-(-k // s) for k, s in zip(x.shape[-2:], stride, strict=True))
    return Tensor(Cover(stride), (x,), (*x.shape[:-4], *size, *most))


def uncover(x: Tensor, kernel: tuple[int, int], stride: tuple[int, int]) -> Tensor:
    size = tuple((n - k) // s + 1 for n, k, s in zip(x.shape[-4:-2], kernel, stride, strict=True))
    return Tensor(Uncover(stride), (x,), (*x.shape[:-4], *size, *kernel))


VIEWS: dict[str, tuple[Sequence[tuple[int, ...]], Callable[..., Tensor]]] = {
    "reshape": ([(4, 3, 2)], lambda x: reshape(x, (2, 6, 2))),
    "reshape to one dimension": ([(3, 1, 5)], lambda x: reshape(x, (15,))),
    "transpose": ([(2, 3, 4)], lambda x: transpose(x, (2, 0, 1))),
    "slice": ([(5, 6)], lambda x: slice_(x, (1, 4), (2, -1), (2, 3))),
    "slice of one": ([(5, 6)], lambda x: slice_(x, (3, 0), (1, 1), (1, 6))),
    "pad": ([(2, 3)], lambda x: pad(x, (1, 0), (0, 2))),
    "pad between": ([(3, 2)], lambda x: pad_to(x, (7, 4), (1, 0), (2, 3))),
    "pad backwards": ([(3, 1)], lambda x: pad_to(x, (4, 2), (2, 1), (-1, 1))),
    "concat": ([(2, 3), (1, 3), (3, 3)], lambda *x: concat(x, 0)),
    "concat of columns": ([(2, 1), (2, 4)], lambda *x: concat(x, 1)),
    "windows side by side": ([(2, 4, 6)], lambda x: im2col(x, (2, 3), (2, 3))),
    "windows side by side and a rest": ([(5, 7)], lambda x: im2col(x, (2, 3), (2, 3))),
    "col2im": ([(2, 3, 2, 2)], lambda x: col2im(x, (2, 2), (2, 1), (1, 2))),
    "col2im of one window": ([(1, 1, 3, 2)], lambda x: col2im(x, (3, 2), (2, 2), (1, 1))),
    "windows that cover a pixel": ([(2, 3, 2, 3, 2)], lambda x: cover(x, (2, 1))),
    "no window covers some pixels": ([(2, 2, 2, 1)], lambda x: cover(x, (3, 2))),
    "uncover": ([(5, 4, 2, 2)], lambda x: uncover(x, (3, 2), (2, 1))),
    "places apart": ([(2, 7, 3)], lambda x: spread(x, 1, Places(5, 1, 2, 3))),
    "collect": ([(2, 8)], lambda x: Tensor(Collect(Places(2, 1, 5, 8), 1), (x,), (2, 4, 3))),
    "collect of one": ([(1, 2)], lambda x: Tensor(Collect(Places(1, 1, 1, 1), 0), (x,), (2, 2, 1))),
    "return": ([(2, 4, 3)], lambda x: Tensor(Return(Places(2, 1, 5, 8), 1), (x,), (2, 8))),
    "rewindow": ([(5, 4, 2, 2)], lambda x: rewindow(x, (2, 2), (2, 1), (1, 2))),
}  # fmt: skip

BROADCASTS: dict[str, tuple[Sequence[tuple[int, ...]], Callable[..., Tensor]]] = {
    "broadcast": ([(3, 1)], lambda x: broadcast_to(x, (3, 4))),
    "broadcast to a further dimension": ([(1, 3)], lambda x: broadcast_to(x, (2, 2, 3))),
    "places of one element": ([(3, 2)], lambda x: spread(x, 0, Places(2, 0, 5, 8))),
    "overlapping windows": ([(2, 5, 4)], lambda x: im2col(x, (3, 2), (1, 1), (1, 2))),
}


def drawn(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng([seed, *shape]).normal(size=shape).astype(np.float32)


def made(name: str) -> tuple[list[Tensor], Tensor]:
    shapes, make = (VIEWS | BROADCASTS)[name]
    inputs = [feed(f"x{k}", shape) for k, shape in enumerate(shapes)]
    return inputs, make(*inputs)


def sources(inputs: Sequence[Tensor], arrays: Sequence[np.ndarray]) -> dict[Tensor, np.ndarray]:
    return dict(zip(inputs, arrays, strict=True))


@pytest.mark.parametrize("name", VIEWS)
def test_the_reverse_is_the_adjoint(name: str) -> None:
    """A view V is linear: ⟨g, V x⟩ = ⟨reverse(g), x⟩ for all g and x."""
    inputs, y = made(name)
    arrays = [drawn(*x.shape, seed=k) for k, x in enumerate(inputs)]
    upstream, g = drawn(*y.shape, seed=9), feed("g", y.shape)
    forward = float((evaluated(y, sources(inputs, arrays)).astype(np.float64) * upstream).sum())
    gradients = y.operation.reverse(y, g)
    assert [gradient.shape for gradient in gradients if gradient is not None] == [x.shape for x in inputs]
    backward = sum(
        float((evaluated(gradient, {g: upstream}).astype(np.float64) * array).sum())
        for gradient, array in zip(gradients, arrays, strict=True)
        if gradient is not None
    )
    assert forward != 0
    assert backward == pytest.approx(forward, rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("name", [*VIEWS, *BROADCASTS])
def test_many_applications_are_one(name: str) -> None:
    inputs, y = made(name)
    for varying in product((False, True), repeat=len(inputs)):
        if not any(varying) or (len(inputs) == 1 and not varying[0]):
            continue
        given = [
            feed(f"b{k}", (COUNT, *x.shape) if v else x.shape)
            for k, (x, v) in enumerate(zip(inputs, varying, strict=True))
        ]
        arrays = [drawn(*x.shape, seed=k) for k, x in enumerate(given)]
        together = y.operation.batched(y, given, COUNT)
        assert together is not None
        assert together.shape == (COUNT, *y.shape)
        one_by_one = [
            evaluated(y, sources(inputs, [a[step] if v else a for a, v in zip(arrays, varying, strict=True)]))
            for step in range(COUNT)
        ]
        np.testing.assert_array_equal(evaluated(together, sources(given, arrays)), np.stack(one_by_one))


@pytest.mark.parametrize("name", [name for name in VIEWS if made(name)[1].operation.invertible])  # type: ignore[attr-defined]
def test_an_inverse_leads_back(name: str) -> None:
    (x,), y = made(name)
    assert isinstance(y.operation, View)
    seen = set()
    for place in np.ndindex(*x.shape):
        index = tuple(Index(n) for n in place)
        there = y.operation.inverse(y, index)
        (access,) = y.operation.accesses(y, there, lambda k, i, extent: Index(0))
        assert access.index == index
        seen.add(tuple(at(i, {}) for i in there))
    assert len(seen) == x.size == y.size


@pytest.mark.parametrize(
    ("shape", "other"),
    [((6,), (2, 3)), ((2, 3), (6,)), ((2, 3, 4), (6, 2, 2)), ((4, 3), (2, 6)), ((1, 5, 1), (5,)), ((2, 1, 6), (3, 4))],
)
def test_regrouped_indices_are_those_of_numpy(shape: tuple[int, ...], other: tuple[int, ...]) -> None:
    variables = domain(shape)
    index = regroup(tuple(Index.of(v) for v in variables), shape, other)
    for number, place in enumerate(np.ndindex(*shape)):
        values = dict(zip(variables, place, strict=True))
        assert tuple(at(i, values) for i in index) == np.unravel_index(number, other)


# ------------------------------------------------------------------------------------------------------ rows of tables

TABLES = {
    "rows of one table": ((5, 2), (4,), False),
    "rows of one table by a matrix": ((5, 2), (2, 3), False),
    "rows of each examples table": ((2, 5, 3), (2, 4), True),
    "numbers of each examples list": ((2, 5), (2, 3), True),
}  # fmt: skip


def taken(table: np.ndarray, index: np.ndarray, own: bool) -> np.ndarray:
    return np.stack([t[i] for t, i in zip(table, index, strict=True)]) if own else table[index]


def gather(table: Tensor, index: Tensor, own: bool) -> Tensor:
    lead = 2 if own else 1
    return Tensor(GatherRows(True, 0.0, own), (table, index), (*index.shape, *table.shape[lead:]))


def gather_inputs(name: str, varying: tuple[bool, bool]) -> tuple[np.ndarray, np.ndarray]:
    table, index, own = TABLES[name]
    table = (COUNT, *table) if varying[0] else table
    index = (COUNT, *index) if varying[1] else index
    rows = TABLES[name][0][1 if own else 0]
    return drawn(*table), np.random.default_rng(1).integers(0, rows, index).astype(np.int32)


@pytest.mark.parametrize("name", TABLES)
def test_rows_are_those_of_numpy(name: str) -> None:
    own = TABLES[name][2]
    values, numbers = gather_inputs(name, (False, False))
    table, index = feed("table", values.shape), feed("index", numbers.shape, "int")
    found = evaluated(gather(table, index, own), {table: values, index: numbers})
    np.testing.assert_array_equal(found, taken(values, numbers, own))


@pytest.mark.parametrize("varying", [(True, False), (False, True), (True, True)], ids=["table", "index", "both"])
@pytest.mark.parametrize("name", TABLES)
def test_many_looks_into_tables_are_one(name: str, varying: tuple[bool, bool]) -> None:
    table_shape, index_shape, own = TABLES[name]
    y = gather(feed("t", table_shape), feed("i", index_shape, "int"), own)
    values, numbers = gather_inputs(name, varying)
    given = [feed("table", values.shape), feed("index", numbers.shape, "int")]
    together = y.operation.batched(y, given, COUNT)
    assert together is not None
    want = [
        taken(values[step] if varying[0] else values, numbers[step] if varying[1] else numbers, own)
        for step in range(COUNT)
    ]
    np.testing.assert_array_equal(evaluated(together, {given[0]: values, given[1]: numbers}), np.stack(want))


# ------------------------------------------------------------------------------------------------------ what they tell


def test_what_a_concatenation_joins() -> None:
    x = concat([feed("a", (2, 3)), feed("b", (2, 5))], 1)
    assert isinstance(x.operation, Concat)
    assert (x.operation.joins, x.shape) == (1, (2, 8))
    assert transpose(x, (1, 0)).operation.joins is None  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("tensor", "answer"),
    [
        (pad(feed("x", (2, 3)), (0, 1), (0, 2)), (1, 1)),
        (pad(feed("x", (2, 3)), (4, 0), (0, 0)), (0, 4)),
        (pad(feed("x", (2, 3)), (1, 1), (0, 0)), None),
        (pad(feed("x", (2, 3)), (0, 1), (0, 2), 1.0), None),
        (pad_to(feed("x", (2, 3)), (2, 7), (0, 1), (1, 2)), None),
        (transpose(feed("x", (2, 3)), (1, 0)), None),
    ],
)
def test_where_a_padded_tensor_fills_a_stretch(tensor: Tensor, answer: tuple[int, int] | None) -> None:
    assert tensor.operation.stretch(tensor) == answer  # type: ignore[attr-defined]


def test_views_of_views_are_one() -> None:
    x = feed("x", (2, 3, 4))
    assert reshape(reshape(x, (6, 4)), (24,)).inputs == (x,)
    assert reshape(reshape(x, (6, 4)), (2, 3, 4)) is x
    turned = transpose(transpose(x, (2, 0, 1)), (1, 0, 2))
    assert turned.inputs == (x,)
    assert turned.shape == (2, 4, 3)
    assert transpose(transpose(x, (2, 0, 1)), (1, 2, 0)) is x
    assert broadcast_to(broadcast_to(feed("y", (3, 1)), (3, 4)), (2, 3, 4)).inputs[0].operation.name == "feed"
    assert slice_(x, (0, 0, 0), (1, 1, 1), (2, 3, 4)) is x
    assert slice_(x, (0, 0, 3), (1, 1, -1), (2, 3, 4)) is not x
