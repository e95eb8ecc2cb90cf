"""Whole programs of a few hand-written kernels on a real device."""

from dataclasses import replace

import numpy as np
import pytest

from graphdl.compiler.program import ArenaBlock, Binding, Kernel, Launch, Program, Slot
from graphdl.diagnostics import DeviceError
from graphdl.runtime import Executor, VariableStore, open_info, profile
from graphdl.source import Source, Span

N = 40

ACCUMULATE = Kernel(
    "accumulate",
    """__kernel void accumulate(__global const float *x, ulong x_offset, __global float *w, ulong w_offset,
                         __global float *y, ulong y_offset) {
  const int i = get_global_id(0);
  w[w_offset + i] += x[x_offset + i];
  y[y_offset + i] = w[w_offset + i];
}""",
)
TOTAL = Kernel(
    "total",
    """__kernel void total(__global const float *x, ulong x_offset, __global const float *scale, ulong scale_offset,
                    __global float *y, ulong y_offset) {
  float sum = 0.0f;
  for (int i = 0; i < 40; ++i) sum += x[x_offset + i];
  y[y_offset] = sum * scale[scale_offset];
}""",
)


@pytest.fixture
def program(device):
    """Adds the feed to a variable; gives the variable's sum times 3."""
    span = Span(Source("model.net", "w += x\ntotal = sum(w)"), 7, 12)
    return Program(
        target=device.target,
        kernels={"accumulate": ACCUMULATE, "total": TOTAL},
        launches=(
            Launch(
                "accumulate",
                (Binding("feed", "x"), Binding("variable", "w"), Binding("arena", offset=16)),
                (N,),
                (1,),
                label="accumulate w",
            ),
            Launch(
                "total",
                (Binding("arena", offset=16), Binding("constant", "scales", 2), Binding("fetch", "total")),
                (1,),
                (1,),
                label="sum w",
                spans=(span,),
            ),
        ),
        arena_bytes=4096,
        arena_blocks=(ArenaBlock(64, 4 * N, 0, 1, "updated w"),),
        variables={"w": Slot("w", (N,), "float")},
        feeds={"x": Slot("x", (N,), "float")},
        fetches={"total": Slot("total", (), "float")},
        constants={"scales": np.array([1, 2, 3], np.float32)},
    )


@pytest.fixture
def store(device):
    return VariableStore(device)


@pytest.fixture
def executor(program, device, store):
    return Executor(program, device, store)


def test_computes(executor, store):
    x = np.random.default_rng(0).normal(size=N)
    store["w"] = np.arange(N, dtype=np.float64)
    executor.run({"x": x})
    np.testing.assert_allclose(store["w"], np.arange(N) + x, rtol=1e-6)
    total = executor.fetch("total")
    assert (total.shape, total.dtype) == ((), np.float32)
    np.testing.assert_allclose(total, 3 * (np.arange(N) + x).sum(), rtol=1e-5)


def test_variables_start_as_zeros(executor, store):
    assert not store["w"].any()


def test_feeds_may_be_reused_and_fetches_keep_their_run(executor):
    x = np.empty(N, np.float32)
    pending = []
    for step in range(20):
        x[:] = step
        executor.run({"x": x})
        pending.append(executor.fetch_later("total"))
    x[:] = np.nan
    expected = 3.0 * N * np.cumsum(np.arange(20))
    assert [float(p.result()) for p in pending] == expected.tolist()


def test_a_fetch_that_nobody_asks_for_does_no_harm(executor):
    for _ in range(3):
        executor.run({"x": np.ones(N, np.float32)})
        executor.fetch_later("total")
    assert float(executor.fetch("total")) == 3 * 3 * N


@pytest.mark.parametrize("shares", [True, False])
def test_feeds_and_fetches_in_shared_memory_or_copied(program, device, shares):
    """The same numbers either way. In shared memory the device copies nothing, and each of two runs has its place."""
    if shares and not device.info.shares_memory:
        pytest.skip("the device shares no memory with the host")
    own = open_info(replace(device.info, shares_memory=shares))
    executor = Executor(program, own, VariableStore(own))
    pending = []
    for step in range(5):
        run = executor.run({"x": np.full(N, float(step))})
        assert len(run.copies) == (0 if shares else 1)
        pending.append(executor.fetch_later("total"))
    executor.spoil()  # the last runs of both turns were not read
    totals = [float(each.result()) for each in pending[:3]]
    assert totals == [0, 3 * N, 9 * N]
    executor.run({"x": np.zeros(N)})
    assert float(executor.fetch("total")) == 3 * N * 10


def test_large_feeds_are_copied(program, device, store):
    """They would take their memory twice."""
    wide = replace(program, feeds={"x": Slot("x", (1 << 19,), "float")})
    assert len(Executor(wide, device, store).run({"x": np.ones(1 << 19)}).copies) == 1


def test_a_result_outlives_its_executor(program, device, store):
    pending = []
    for turn in range(1, 31):
        executor = Executor(program, device, store)
        executor.run({"x": np.ones(N)})
        pending.append((turn, executor.fetch_later("total")))
        del executor
    assert all(float(each.result()) == 3 * N * turn for turn, each in pending)


def test_programs_share_variables(program, device, store):
    first, second = Executor(program, device, store), Executor(program, device, store)
    first.run({"x": np.ones(N)})
    second.run({"x": np.ones(N)})
    assert float(second.fetch("total")) == 3 * 2 * N
    assert set(store) == {"w"}


@pytest.mark.parametrize(
    ("feeds", "complaint"),
    [
        ({}, "input 'x' is missing"),
        ({"x": np.ones(N), "z": np.ones(N)}, "input 'z' is unknown; the program has x"),
        ({"x": np.ones(N - 1)}, r"input 'x' has shape \[39\], expected \[40\]"),
        ({"x": np.ones(N, np.int64)}, r"input 'x' holds int64, expected floating-point.*astype\(numpy.float32\)"),
    ],
)
def test_wrong_feeds_are_refused_and_change_nothing(executor, store, feeds, complaint):
    with pytest.raises(ValueError, match=complaint):
        executor.run(feeds)
    assert not store["w"].any()


def test_profile_times_each_launch(executor, program, store):
    times = profile(executor, {"x": np.ones(N)})
    assert [launch for launch, _ in times] == list(program.launches)
    assert all(seconds > 0 for _, seconds in times)
    assert store["w"].tolist() == [1.0] * N


def test_too_little_memory_names_the_largest(program, device, store):
    small = open_info(replace(device.info, memory=4096))
    with pytest.raises(DeviceError, match=r"smaller batch(?s:.*)updated w") as caught:
        Executor(program, small, store)
    assert caught.value.code == "E0801"


def test_too_large_a_buffer_is_named(program, device, store):
    small = open_info(replace(device.info, max_allocation=1024))
    with pytest.raises(DeviceError, match=r"the arena of intermediate results needs a buffer of 0.00 MiB") as caught:
        Executor(program, small, store)
    assert caught.value.code == "E0802"


def test_a_buffer_that_the_driver_refuses(program, device, store):
    boundless = open_info(replace(device.info, memory=1 << 60, max_allocation=1 << 60))
    with pytest.raises(DeviceError, match=r"no room on (?s:.*)updated w"):
        Executor(replace(program, arena_bytes=1 << 50), boundless, VariableStore(boundless))


def test_a_run_and_its_fetches_in_one(executor):
    """They start together, and what was wrong with one does not hold back the next."""
    runs = [executor.run_and_fetch({"x": np.full(N, float(k))}, ["total"]) for k in range(1, 5)]
    assert [float(fetched["total"].result()) for fetched in runs] == [3 * N * total for total in (1, 3, 6, 10)]
    with pytest.raises(ValueError, match="input 'x' is missing"):
        executor.run_and_fetch({}, ["total"])
    with pytest.raises(KeyError, match="mean"):
        executor.run_and_fetch({"x": np.ones(N)}, ["total", "mean"])
    assert float(executor.run_and_fetch({"x": np.ones(N)}, ["total"])["total"].result()) == 3 * N * 12


def test_a_launch_that_the_device_refuses_is_named(program, device, store):
    uneven = replace(program.launches[1], global_size=(3,), local_size=(2,))
    executor = Executor(replace(program, launches=(program.launches[0], uneven)), device, store)
    with pytest.raises(DeviceError, match=r"launch 'sum w' \(model.net:2:1\) failed"):
        executor.run({"x": np.ones(N)})
    with pytest.raises(DeviceError, match=r"launch 'sum w' \(model.net:2:1\) failed"):
        executor.run_and_fetch({"x": np.ones(N)}, ["total"])
    executor.finish()


def test_too_large_a_work_group_is_refused_before_it_runs(program, device, store):
    huge = replace(program.launches[1], global_size=(1 << 20,), local_size=(1 << 20,))
    with pytest.raises(DeviceError, match=r"launch 'sum w' \(model.net:2:1\) wants work-groups of 1048576"):
        Executor(replace(program, launches=(huge,)), device, store)


def test_a_launch_with_too_few_operands_is_refused(program, device, store):
    short = replace(program.launches[1], bindings=program.launches[1].bindings[:2])
    with pytest.raises(ValueError, match="binds 2 operands, but kernel 'total' takes 6 arguments"):
        Executor(replace(program, launches=(short,)), device, store)
