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


@given(LIVES)
def test_no_more_is_alive_than_is_counted(lives: list[Life]) -> None:
    """Against the plain sum over the lives of each launch."""
    launches = range(max(life.last for life in lives) + 1)
    rounded = [-(-life.nbytes // ALIGNMENT) * ALIGNMENT for life in lives]
    alive = [
        sum(size for life, size in zip(lives, rounded, strict=True) if life.first <= launch <= life.last)
        for launch in launches
    ]
    assert most_alive(lives) == max(alive)
    offsets, size = plan(lives)
    assert size == max(offset + nbytes for offset, nbytes in zip(offsets, rounded, strict=True))
    assert size >= max(alive)


def first_fit(lives: list[Life], sequence: list[int]) -> int:
    """The size of the arena when each life in turn goes to the lowest place that is free for all of it."""
    placed: list[tuple[int, int, Life]] = []
    for k in sequence:
        nbytes = -(-lives[k].nbytes // ALIGNMENT) * ALIGNMENT
        taken = sorted((a, b) for a, b, life in placed if life.first <= lives[k].last and lives[k].first <= life.last)
        offset = 0
        for begin, end in taken:
            if offset + nbytes <= begin:
                break
            offset = max(offset, end)
        placed.append((offset, offset + nbytes, lives[k]))
    return max(end for _, end, _ in placed)


@given(LIVES)
def test_no_simple_order_needs_less(lives: list[Life]) -> None:
    """By size, by length of life, by their product, by the first launch and by the last."""
    keys = [
        [-life.nbytes for life in lives],
        [life.first - life.last for life in lives],
        [(life.first - life.last - 1) * life.nbytes for life in lives],
        [life.first for life in lives],
        [-life.last for life in lives],
    ]
    ties = [[life.first for life in lives], *[[-life.nbytes for life in lives]] * 4]
    ties[2] = ties[0]
    _, size = plan(lives)
    numbers = range(len(lives))
    orders = [
        sorted(numbers, key=lambda k, key=key, tie=tie: (key[k], tie[k]))  # type: ignore[misc]
        for key, tie in zip(keys, ties, strict=True)
    ]
    assert size <= min(first_fit(lives, order) for order in orders)


def test_a_gap_is_used_before_the_arena_grows() -> None:
    lives = [Life(1024, 0, 5), Life(512, 0, 1), Life(1024, 0, 5), Life(512, 3, 5)]
    offsets, size = plan(lives)
    assert size == 2560
    assert offsets[1] == offsets[3]
