"""A program as plain data: the order of its launches, what its memory comes to, where an argument points."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphdl.compiler.program import ArenaBlock, Binding, Launch, Program, Repeat, Slot, Target, Tuning

CPU = Target("cpu", vector_width=8, compute_units=3)


def program(launches: int = 0, loops: tuple[Repeat, ...] = (), **more: object) -> Program:
    made = tuple(Launch(f"k{n}", (), (1,), (1,)) for n in range(launches))
    fields = {"arena_bytes": 0, "arena_blocks": (), "variables": {}, "feeds": {}, "fetches": {}} | more
    return Program(CPU, {}, made, loops=loops, **fields)  # type: ignore[arg-type]


def test_without_loops_the_launches_run_once_in_their_order() -> None:
    assert list(program(3).calls()) == [(0, ()), (1, ()), (2, ())]
    assert list(program(0).calls()) == []


def test_a_loop_repeats_its_launches() -> None:
    found = list(program(4, (Repeat(1, 3, 2),)).calls())
    assert found == [(0, ()), (1, (0,)), (2, (0,)), (1, (1,)), (2, (1,)), (3, ())]


def test_loops_in_loops_count_from_the_outermost() -> None:
    found = list(program(3, (Repeat(0, 3, 2, (Repeat(1, 2, 2),)),)).calls())
    turn = [(0, (0,)), (1, (0, 0)), (1, (0, 1)), (2, (0,))]
    assert found == [*turn, *((number, (1, *turns[1:])) for number, turns in turn)]


def test_loops_one_after_the_other() -> None:
    found = [number for number, _ in program(4, (Repeat(0, 1, 3), Repeat(2, 4, 2))).calls()]
    assert found == [0, 0, 0, 1, 2, 3, 2, 3]


@given(st.integers(0, 5), st.integers(0, 3), st.integers(1, 3), st.integers(0, 3), st.integers(0, 3))
def test_each_launch_runs_as_often_as_the_loops_around_it_say(a: int, b: int, turns: int, c: int, inner: int) -> None:
    loop = Repeat(a, a + b + c, turns, (Repeat(a + b, a + b + c, inner),))
    calls = list(program(a + b + c + 1, (loop,)).calls())
    for number in range(a + b + c + 1):
        wanted = 1 if number < a or number == a + b + c else turns if number < a + b else turns * inner
        found = [made for launch, made in calls if launch == number]
        assert len(found) == len(set(found)) == wanted


def test_a_loop_moves_with_all_that_is_in_it() -> None:
    loop = Repeat(1, 5, 7, (Repeat(2, 3, 4, (Repeat(2, 3, 9),)), Repeat(3, 5, 2)))
    assert loop.moved(10) == Repeat(11, 15, 7, (Repeat(12, 13, 4, (Repeat(12, 13, 9),)), Repeat(13, 15, 2)))
    assert loop.moved(0) == loop


def test_an_argument_moves_on_with_each_turn() -> None:
    binding = Binding("arena", offset=100, steps=(10, -3))
    assert [binding.at(turns) for turns in ((), (0, 0), (2, 0), (2, 4), (1,))] == [100, 100, 120, 108, 110]
    assert Binding("feed", "x", 5).at((3, 4)) == 5


@pytest.mark.parametrize(
    ("shape", "element", "nbytes"),
    [((2, 3), "float", 24), ((2, 3), "int", 24), ((2, 3), "bool", 6), ((), "float", 4), ((0, 3), "float", 4)],
)
def test_a_buffer_is_never_empty(shape: tuple[int, ...], element: str, nbytes: int) -> None:
    assert Slot("x", shape, element).nbytes == nbytes  # type: ignore[arg-type]


def test_memory_that_is_alive_at_once() -> None:
    blocks = (
        ArenaBlock(0, 100, 0, 1, "a"), ArenaBlock(100, 50, 1, 2, "b"), ArenaBlock(0, 70, 2, 4, "c"),
        ArenaBlock(200, 10, 3, 3, "d"),
    )  # fmt: skip
    assert program(5, arena_blocks=blocks, arena_bytes=300).live_bytes == 150
    assert program(5, arena_blocks=blocks[2:], arena_bytes=300).live_bytes == 80
    assert program(1).live_bytes == 0


def test_all_buffers_count() -> None:
    made = program(
        arena_bytes=1000,
        variables={"w": Slot("w", (10,), "float")},
        feeds={"x": Slot("x", (5,), "int")},
        fetches={"y": Slot("y", (3,), "bool")},
        constants={"c": np.zeros(7, np.float32)},
    )
    assert made.peak_bytes == 1000 + 40 + 20 + 3 + 28


def test_operations_count_with_every_turn() -> None:
    launches = tuple(Launch("k", (), (1,), (1,), flops=flops, times=times) for flops, times in ((5, 1), (7, 10)))
    made = Program(CPU, {}, launches, 0, (), {}, {}, {})
    assert made.flops == 75


def test_pieces_of_work_that_make_an_even_load() -> None:
    tuning = Tuning(cpu_shares=5, gpu_shares=11)
    assert Target("cpu", 8, 3, tuning=tuning).shares == 15
    assert Target("gpu", 4, 3, tuning=tuning).shares == 33
