"""Loop nests: merged loops visit the same places, shares cover every step once, numbers decode to indices."""

from __future__ import annotations

from itertools import product
from math import prod

import numpy as np
import pytest
from evaluating import at, everywhere
from hypothesis import given, settings
from hypothesis import strategies as st

from graphdl.compiler.expression import Tracer, domain
from graphdl.compiler.loops import approximate_stride, deal, decode, memory_order, merge
from graphdl.compiler.program import Target
from graphdl.operators.index import Index, LoopVariable, Quotient, Remainder
from graphdl.operators.tensor import feed

CPU = Target("cpu", vector_width=8, compute_units=4)
GPU = Target("gpu", vector_width=4, compute_units=8, max_work_group=256)

SHAPES = st.lists(st.integers(1, 5), min_size=1, max_size=4).map(tuple)


def addresses(shape: tuple[int, ...], orders: list[list[int]]) -> list[Index]:
    """One address for each order of the dimensions in memory."""
    variables = domain(shape)
    made = []
    for order in orders:
        address, step = Index(0), 1
        for d in reversed(order):
            address, step = address + Index.of(variables[d]) * step, step * shape[d]
        made.append(address)
    return made


@st.composite
def nests(draw: st.DrawFn) -> tuple[tuple[int, ...], list[Index]]:
    shape = draw(SHAPES)
    orders = draw(st.lists(st.permutations(range(len(shape))), min_size=1, max_size=3))
    return shape, addresses(shape, [list(order) for order in orders])


@given(nests())
@settings(max_examples=150, deadline=None)
def test_merged_loops_visit_the_same_places_in_the_same_order(nest: tuple[tuple[int, ...], list[Index]]) -> None:
    shape, indices = nest
    variables = domain(shape)
    loops, values = merge(variables, indices)
    assert prod(loop.extent for loop in loops) == prod(shape)
    assert len(loops) <= len(variables)
    merged = [index.substitute(values, lambda atom: Index.of(atom)) for index in indices]
    before = [[at(index, place) for index in indices] for place in everywhere(variables)]
    after = [[at(index, place) for index in merged] for place in everywhere(tuple(loops))]
    assert after == before


def test_loops_that_lie_side_by_side_become_one() -> None:
    i, j, k = domain((4, 5, 6))
    address = Index.of(i) * 30 + Index.of(j) * 6 + Index.of(k)
    loops, values = merge((i, j, k), [address])
    assert [loop.extent for loop in loops] == [120]
    assert values[i] == values[j] == Index(0)
    padded = Index.of(i) * 40 + Index.of(j) * 6 + Index.of(k)  # rows do not follow one another
    loops, _ = merge((i, j, k), [address, padded])
    assert [loop.extent for loop in loops] == [4, 30]


def test_loops_inside_a_quotient_stay_apart() -> None:
    i, j = domain((4, 6))
    address = Index.of(i) * 6 + Index.of(j)
    loops, _ = merge((i, j), [address, (address + 1) // 5])
    assert [loop.extent for loop in loops] == [4, 6]


def test_a_loop_of_one_step_vanishes() -> None:
    i, j = LoopVariable("i", 1), LoopVariable("j", 3)
    loops, values = merge((i, j), [Index.of(j)])
    assert loops == [j]
    assert values == {i: Index(0)}


@pytest.mark.parametrize(
    ("index", "stride"),
    [
        (Index(0, ((LoopVariable("i", 8), 3),)), 3),
        (Index(0, ((LoopVariable("i", 8), -3),)), 3),
        (Index(5), 0),
        (Index(0, ((LoopVariable("j", 8), 3),)), 0),
        (Index(0, ((Quotient(Index.of(LoopVariable("i", 8)), 4), 8),)), 2),
        (Index(0, ((Remainder(Index.of(LoopVariable("i", 8)), 4), 2),)), 2),
    ],
)
def test_how_far_a_step_goes(index: Index, stride: float) -> None:
    assert approximate_stride(index, LoopVariable("i", 8)) == stride


def test_loops_follow_the_largest_operand() -> None:
    small, large = feed("small", (3,)), feed("large", (3, 4))
    i, j = domain((3, 4))
    at_both = (Index.of(i), Index.of(j))
    transposed = Tracer({large: (1, 3)}).trace(large, at_both)
    assert memory_order((i, j), [transposed]) == [j, i]
    assert memory_order((i, j), [Tracer({large: (4, 1)}).trace(large, at_both)]) == [i, j]
    assert memory_order((i, j), [Tracer({small: (1,)}).trace(small, (Index.of(i),)), transposed]) == [j, i]
    assert memory_order((i, j), []) == [i, j]


def test_loops_follow_what_is_stored_if_that_is_larger() -> None:
    """A gradient of windows stores more than it reads. The variables that its address does not use are reduced."""
    small, large = feed("small", (3,)), feed("large", (4, 3))
    i, j, k = domain((3, 4, 2))
    load = Tracer({small: (1,)}).trace(small, (Index.of(i),))
    assert memory_order((i, j, k), [load], [(large, Index.of(j) * 3 + Index.of(i))]) == [k, j, i]
    assert memory_order((i, j, k), [load], [(large, Index.of(i) * 4 + Index.of(j))]) == [k, i, j]


def test_a_kept_variable_comes_last_of_equal_ones() -> None:
    """The elements of a window lie as near as the windows: vectors run over windows."""
    x = feed("x", (9,))
    window, element = domain((5, 5))
    load = Tracer({x: (1,)}).trace(x, (Index.of(window) + Index.of(element),))
    assert memory_order((window, element), [load], kept=[window]) == [element, window]


@given(st.integers(1, 70), st.integers(1, 70), st.integers(1, 5000), st.sampled_from([CPU, GPU]))
@settings(max_examples=100, deadline=None)
def test_every_step_is_dealt_once(rows: int, columns: int, each: int, target: Target) -> None:
    share = deal(rows, columns, rows * columns * each, target)
    assert share.items % share.local == 0
    covered = np.zeros((rows, columns), int)
    for item in range(share.items):
        row, chunk = divmod(item, share.column_chunks)
        first_row, first_column = row * share.rows_each, chunk * share.columns_each
        covered[first_row : first_row + share.rows_each, first_column : first_column + share.columns_each] += 1
    assert (covered == 1).all()


def test_a_cpu_gets_few_long_shares() -> None:
    assert deal(1000, 1000, CPU.tuning.item_share // 2, CPU).items == 1
    assert deal(1000, 1000, 10**9, CPU).items == 4 * CPU.compute_units
    assert deal(1, 10**6, 10**9, CPU).items == 4 * CPU.compute_units
    assert deal(3, 2, 10**9, CPU).items <= 6


def test_a_gpu_gets_one_step_an_item() -> None:
    share = deal(10, 7, 70, GPU)
    assert (share.rows_each, share.columns_each) == (1, 1)
    assert share.items >= 70
    assert share.local <= GPU.max_work_group


@pytest.mark.parametrize("shape", [(5,), (2, 3), (4, 1, 3), (2, 3, 4, 5)])
def test_a_number_decodes_to_its_index(shape: tuple[int, ...]) -> None:
    lines = decode(domain(shape), "n")
    for n, index in enumerate(product(*(range(extent) for extent in shape))):
        names: dict[str, int] = {"n": n}
        for line in lines:
            name, text = line.removeprefix("const int ").removesuffix(";").split(" = ")
            names[name] = eval(text.replace("/", "//"), {}, names)
        assert tuple(names[v.name] for v in domain(shape)) == index
