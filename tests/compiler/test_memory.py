"""The memory plan keeps lives apart and wastes little."""

from __future__ import annotations

import time
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from graphdl.compiler.memory import ALIGNMENT, Life, most_alive, plan

LIVES = st.lists(
    st.tuples(st.integers(1, 100_000), st.integers(0, 30), st.integers(0, 10)).map(
        lambda t: Life(t[0], t[1], t[1] + t[2])
    ),
    min_size=1,
    max_size=40,
)


@given(LIVES)
def test_lives_that_overlap_in_time_lie_apart(lives: list[Life]) -> None:
    offsets, size = plan(lives)
    for k, a in enumerate(lives):
        assert offsets[k] % ALIGNMENT == 0
        assert offsets[k] + a.nbytes <= size
        for j in range(k):
            b = lives[j]
            if a.first <= b.last and b.first <= a.last:
                assert offsets[k] + a.nbytes <= offsets[j] or offsets[j] + b.nbytes <= offsets[k]


def test_memory_is_used_again() -> None:
    lives = [Life(1 << 20, k, k + 1) for k in range(10)]
    _, size = plan(lives)
    assert size == 2 << 20


def test_a_long_life_leaves_room_for_short_ones() -> None:
    lives = [Life(1000, 0, 9), *(Life(256 * 4, k, k) for k in range(10))]
    _, size = plan(lives)
    assert size == 2048


def test_thousands_of_lives_are_planned_in_time() -> None:
    """A deep net: what the reverse pass needs lives long, all else for a moment."""
    random = Random(0)
    depth = 1500
    lives = [Life(4 * random.randrange(1, 4000), k, 2 * depth - k) for k in range(depth)]
    lives += [Life(4 * random.randrange(1, 4000), k, k + random.randrange(1, 4)) for k in range(2 * depth)]
    start = time.process_time()
    offsets, size = plan(lives)
    assert time.process_time() - start < 6
    assert size < 1.01 * most_alive(lives)
    assert len(offsets) == len(lives)
