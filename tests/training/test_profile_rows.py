"""The rows of a profile: seconds and work by kind, by kernel, by module and by line, however launches are shared."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphdl.compiler.program import Launch
from graphdl.training.profiling import UNOWNED, kind_of, rows


def launch(label: str, kernel: str = "matmul_0123456789ab", flops: int = 0, nbytes: int = 0, times: int = 1) -> Launch:
    return Launch(kernel, (), (1,), (1,), label, flops, nbytes, times=times)


@pytest.mark.parametrize(
    ("kernel", "kind"),
    [("matmul_0123456789ab", "matmul"), ("pack_filters_0123456789ab", "pack_filters"), ("tanh_ff", "tanh")],
)
def test_a_kernels_name_begins_with_its_kind(kernel: str, kind: str) -> None:
    assert kind_of(launch("x", kernel)) == kind


def test_equal_names_are_one_row() -> None:
    launches = [(launch("a", flops=10, nbytes=3), 1.0), (launch("b", flops=5, nbytes=4), 5.0),
                (launch("a", flops=20, nbytes=5), 2.0)]  # fmt: skip
    first, second = rows(launches, lambda each: [(each.label, 1.0)])
    assert (first.name, first.seconds, first.flops, first.bytes, first.launches) == ("b", 5.0, 5, 4, 1)
    assert (second.name, second.seconds, second.flops, second.bytes, second.launches) == ("a", 3.0, 30, 8, 2)


def test_work_counts_with_every_turn_and_seconds_are_those_of_all() -> None:
    (row,) = rows([(launch("a", flops=10, nbytes=3, times=7), 0.5)], lambda each: [("x", 1.0)])
    assert (row.seconds, row.flops, row.bytes, row.launches) == (0.5, 70, 21, 7)


def test_a_launch_of_nobody_belongs_to_the_step() -> None:
    (row,) = rows([(launch("report"), 0.25)], lambda each: [])
    assert (row.name, row.seconds) == (UNOWNED, 0.25)


def test_parts_under_one_name_are_one_launch() -> None:
    (row,) = rows([(launch("a", flops=100), 1.0)], lambda each: [("x", 0.25), ("x", 0.75)])
    assert (row.seconds, row.flops, row.launches) == (1.0, 100, 1)


PARTS = st.lists(st.tuples(st.sampled_from("xyz"), st.integers(1, 9)), max_size=4).map(
    lambda many: [(name, weight / sum(w for _, w in many)) for name, weight in many]
)


@given(st.lists(st.tuples(st.floats(0, 10), st.integers(0, 1000), st.integers(1, 3), PARTS), max_size=6))
def test_nothing_is_lost_and_the_slowest_is_first(many: list[tuple[float, int, int, list[tuple[str, float]]]]) -> None:
    parts = {str(k): part for k, (_, _, _, part) in enumerate(many)}
    launches = [
        (launch(str(k), flops=flops, nbytes=2 * flops, times=times), seconds)
        for k, (seconds, flops, times, _) in enumerate(many)
    ]
    found = rows(launches, lambda each: parts[each.label])
    assert sum(row.seconds for row in found) == pytest.approx(sum(seconds for _, seconds in launches))
    assert sum(row.flops for row in found) == pytest.approx(sum(each.flops * each.times for each, _ in launches))
    assert sum(row.bytes for row in found) == pytest.approx(sum(each.bytes * each.times for each, _ in launches))
    assert [row.seconds for row in found] == sorted((row.seconds for row in found), reverse=True)
    assert len({row.name for row in found}) == len(found)
