"""The order of kernels: what is read has been made, what must come first does, and little is alive at once."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphdl.compiler.fusion import KernelPlan
from graphdl.compiler.memory import Life, most_alive
from graphdl.compiler.schedule import bytes_of, order
from graphdl.operators.elementwise import apply
from graphdl.operators.tensor import Tensor, feed


def plan(*inputs: Tensor, size: int = 100) -> KernelPlan:
    """A kernel that makes one tensor of ``size`` elements from others, whatever their sizes."""
    return KernelPlan([], [Tensor(apply("exp", feed("x", (size,))).operation, inputs, (size,))], list(inputs))


def most_bytes(sequence: list[KernelPlan]) -> int:
    """The most memory that is alive at one launch."""
    made = {t: k for k, p in enumerate(sequence) for t in p.outputs}
    last = {t: max((k for k, p in enumerate(sequence) if t in p.inputs), default=made[t]) for t in made}
    return most_alive([Life(bytes_of(t), made[t], last[t]) for t in made])


@st.composite
def graphs(draw: st.DrawFn) -> list[KernelPlan]:
    plans: list[KernelPlan] = []
    for _ in range(draw(st.integers(1, 20))):
        made = [p.outputs[0] for p in plans]
        inputs = draw(st.lists(st.sampled_from(made), max_size=3, unique=True)) if made else []
        plans.append(plan(*inputs, size=draw(st.integers(1, 4)) * 64))
    return plans


@given(graphs(), st.data())
@settings(max_examples=150, deadline=None)
def test_everything_is_launched_once_after_what_it_waits_for(plans: list[KernelPlan], data: st.DataObject) -> None:
    """``before`` may only name what stands earlier in the list: there is no circle then."""
    before = {
        p: data.draw(st.lists(st.sampled_from(plans[:k]), max_size=2), label="before")
        for k, p in enumerate(plans)
        if k and data.draw(st.booleans())
    }
    shuffled = data.draw(st.permutations(plans))
    sequence = order(shuffled, before, set())
    assert sorted(map(id, sequence)) == sorted(map(id, plans))
    place = {p: k for k, p in enumerate(sequence)}
    makers = {p.outputs[0]: p for p in plans}
    for p in plans:
        assert all(place[makers[x]] < place[p] for x in p.inputs)
        assert all(place[first] < place[p] for first in before.get(p, ()))


def test_a_branch_is_finished_before_the_next_begins() -> None:
    """Ten large values, each reduced to a small one: in the order of the list all ten would be alive."""
    large = [plan(size=100_000) for _ in range(10)]
    small = [plan(p.outputs[0], size=1) for p in large]
    total = plan(*(p.outputs[0] for p in small), size=1)
    sequence = order([*large, *small, total], {}, set())
    assert most_bytes([*large, *small, total]) > 9 * most_bytes(sequence)
    assert sequence[-1] is total


def test_what_lies_outside_the_arena_costs_nothing() -> None:
    x = plan(size=1000)
    variable, temporary = plan(x.outputs[0], size=100_000), plan(x.outputs[0], size=2000)
    kept = {variable.outputs[0]}
    assert order([x, temporary, variable], {}, kept) == [x, variable, temporary]
    assert order([x, temporary, variable], {}, set()) == [x, temporary, variable]


def test_the_order_is_the_same_every_time() -> None:
    first = [plan(size=64 * (k % 3 + 1)) for k in range(12)]
    second = [plan(a.outputs[0], b.outputs[0]) for a, b in pairwise(first)]
    plans = [*first, *second]
    assert order(plans, {}, set()) == order(plans, {}, set())


def test_a_circle_is_noticed() -> None:
    a = plan()
    b = plan(a.outputs[0])
    with pytest.raises(AssertionError, match="in a circle"):
        order([a, b], {a: [b]}, set())


@pytest.mark.parametrize(("element", "nbytes"), [("float", 24), ("int", 24), ("bool", 6)])
def test_how_much_memory_a_tensor_takes(element: str, nbytes: int) -> None:
    assert bytes_of(feed("x", (2, 3), element)) == nbytes  # type: ignore[arg-type]
