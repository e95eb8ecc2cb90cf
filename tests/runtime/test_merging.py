"""Several launches as one: the same results bit for bit, and the same order of everything that depends on something."""

from __future__ import annotations

from dataclasses import replace
from math import gcd

import numpy as np

from graphdl.compiler.build import build
from graphdl.compiler.program import Program, Target
from graphdl.compiler.reverse import gradients
from graphdl.model import Model
from graphdl.operators.elementwise import apply
from graphdl.operators.kernels.sorting import argsort
from graphdl.operators.matmul import matmul
from graphdl.operators.reduction import reduce
from graphdl.operators.structure import broadcast_to, reshape
from graphdl.operators.tensor import Tensor, feed, read
from graphdl.runtime.executor import Executor
from graphdl.runtime.merging import merged
from graphdl.runtime.opencl import Device
from graphdl.runtime.profiler import profile
from graphdl.runtime.variables import VariableStore
from graphdl.source import Source

RANDOM = np.random.default_rng(0)
SCAN = """net running() {
    input x: [13, 37]
    inward = linear(96, bias = false)
    back = linear(96)
    y = scan xt in x, h = zeros([96]) {
        h = tanh((xt -> inward) + (h -> back))
        emit h
    }
    output y = softmax(y -> linear(5))
}
"""


def layers(x: Tensor, widths: list[int], name: str = "w") -> Tensor:
    """Products with variables, each followed by a maximum with 0."""
    for k, width in enumerate(widths):
        x = apply("maximum", matmul(x, read(f"{name}{k}", (x.shape[1], width))), 0.0)
    return x


def network(rows: int = 3) -> Tensor:
    """Products, a softmax over the last one's rows, and a mean over all."""
    y = layers(feed("x", (rows, 129)), [203, 67, 19])
    powers = apply("exp", y - broadcast_to(reduce("max", y, (1,), keep=True), y.shape))
    return powers / broadcast_to(reduce("sum", powers, (1,), keep=True), y.shape)


def given(program: Program, store: VariableStore) -> dict[str, np.ndarray]:
    """Values of the feeds; those of the variables are written."""
    random = np.random.default_rng(1)
    for name, slot in program.variables.items():
        store[name] = random.normal(size=slot.shape).astype(np.float32)
    return {name: random.normal(size=slot.shape).astype(np.float32) for name, slot in program.feeds.items()}


def results(program: Program, device: Device, runs: int = 3, *, merge: bool) -> dict[str, np.ndarray]:
    """The fetches and variables after a few runs; the counters must be zero again after each of them. Each run has
    other feeds, so that what a run has left behind is not the next one's result.
    """
    store = VariableStore(device)
    executor = Executor(program, device, store, merge=merge)
    feeds = given(program, store)
    for run in range(runs):
        executor.run({name: value * np.float32(1 - run / 8) for name, value in feeds.items()})
    return {name: executor.fetch(name) for name in program.fetches} | {name: store[name] for name in program.variables}


def same(program: Program, device: Device) -> None:
    apart, together = (results(program, device, merge=merge) for merge in (False, True))
    for name, value in apart.items():
        assert np.isfinite(value).all()
        np.testing.assert_array_equal(together[name], value)


def test_the_launches_of_a_prediction_become_one(device: Device) -> None:
    program = build({"y": network()}, {}, device.target)
    assert len(program.launches) - program.setup_launches >= 4
    assert len(merged(program).launches) - program.setup_launches == 1
    same(program, device)


def test_an_item_waits_for_all_items_that_it_reads(device: Device) -> None:
    """The first launch, whose items count in two directions, takes milliseconds, and the next one reads all of it. The
    others make the launches short on average.
    """
    products = matmul(feed("x", (4, 96, 512)), feed("w", (4, 512, 512)))
    sums = reduce("sum", products, (0, 1), keep=False)
    fetches = {"sums": sums, "y": layers(reshape(sums, (1, 512)), [8] * 14)}
    program = build(fetches, {}, replace(device.target, compute_units=2))
    assert gcd(*program.launches[0].global_size[:2]) > 1  # else a number modulo both sizes tells all items apart
    assert len(merged(program).launches) == 1
    executor = Executor(program, device, VariableStore(device), merge=True)
    for _ in range(10):
        feeds = {name: RANDOM.normal(size=slot.shape).astype(np.float32) for name, slot in program.feeds.items()}
        executor.run(feeds)
        wanted = (feeds["x"].astype(float) @ feeds["w"]).sum((0, 1))
        np.testing.assert_allclose(executor.fetch("sums"), wanted, rtol=0, atol=1e-5 * np.abs(wanted).max())


def test_a_loop_becomes_a_part_of_the_launch(device: Device) -> None:
    model = Model(Source("a.net", SCAN))
    program = model.compile(batch=2)
    assert program.loops
    assert len(merged(program).launches) == 1
    same(program, device)


def test_a_step_that_overwrites_its_variables(device: Device) -> None:
    loss = reduce("sum", network(9) * feed("g", (9, 19)), (0, 1), keep=False)
    variables = [read(f"w{k}", shape) for k, shape in enumerate([(129, 203), (203, 67), (67, 19)])]
    slopes = gradients(loss, variables)
    updates = {f"w{k}": w - g * 0.125 for k, (w, g) in enumerate(zip(variables, slopes, strict=True))}
    program = build({"loss": loss}, updates, device.target)
    assert len(merged(program).launches) == 1 < len(program.launches)
    same(program, device)


def test_what_cannot_be_called_stays_apart(device: Device) -> None:
    """The kernels of a sort have other heads. What is before it and behind it is merged."""
    keys = layers(feed("x", (2, 65)), [41, 150])
    program = build({"order": argsort(keys), "y": layers(keys * 2.0, [150, 30], "v")}, {}, device.target)
    fewer = merged(program)
    assert 1 < len(fewer.launches) < len(program.launches)
    assert any("sort" in name for name in fewer.kernels)
    same(program, device)


def test_long_launches_stay_apart() -> None:
    program = build({"y": network(4096)}, {}, Target("cpu", vector_width=8, compute_units=2))
    assert merged(program) == program


def test_a_launch_has_32_kernels_at_most() -> None:
    widths = list(range(1, 40))
    program = build({"y": layers(feed("x", (1, 40)), widths)}, {}, Target("cpu", vector_width=8, compute_units=2))
    assert len(program.kernels) > 32
    assert [kernel.parts for kernel in merged(program).kernels.values() if kernel.parts > 1] == [32, 39 - 32]


def test_kernels_that_many_launches_would_have_stay_apart() -> None:
    """A launch has room for 55 variables. So each further one compiles the kernels of all nine shapes again."""
    repeated = {count: layers(feed("x", (1, 2)), [3, 5, 7, 11, 13, 17, 19, 23, 2] * count) for count in (6, 26)}
    few, many = (build({"y": y}, {}, Target("cpu", vector_width=8, compute_units=2)) for y in repeated.values())
    assert len(few.kernels) == len(many.kernels)
    assert len(merged(few).launches) < len(few.launches)
    assert merged(many) == many


def test_so_do_those_of_a_gpu() -> None:
    program = build({"y": network()}, {}, Target("gpu", vector_width=4, compute_units=8))
    assert merged(program) == program


def test_a_profile_shows_every_launch(device: Device) -> None:
    program = build({"y": network()}, {}, device.target)
    store = VariableStore(device)
    executor = Executor(program, device, store, merge=True)
    feeds = given(program, store)
    executor.run(feeds)
    wanted = executor.fetch("y")
    found = profile(executor, feeds)
    assert [launch for launch, _ in found] == list(program.launches)
    assert all(seconds > 0 for _, seconds in found)
    np.testing.assert_array_equal(executor.fetch("y"), wanted)


def test_numbers_keep_their_signs_and_extremes(device: Device) -> None:
    """0 and -0 are different arguments, and one that is too large for single precision is infinite."""
    x = feed("x", (40, 37))
    parts = {"a": x * 3.5, "b": x * -3.5, "c": x / 1e-42, "d": apply("maximum", x, 1e39), "e": x * 3.5 + 7.25}
    fetches = {name: reduce("sum", y, (0,)) for name, y in parts.items()}
    several = {**fetches, "f": matmul(matmul(x, feed("v", (37, 5))), feed("w", (5, 3)))}
    for computed, rounding in ((fetches, 0.0), (several, 1e-6)):
        program = build(computed, {}, device.target)
        store = VariableStore(device)
        feeds = given(program, store)
        found = []
        for merge in (False, True):
            executor = Executor(program, device, store, merge=merge)
            executor.run(feeds)
            found.append({name: executor.fetch(name) for name in parts})
        for name in parts:
            np.testing.assert_allclose(found[1][name], found[0][name], rtol=rounding, atol=0)
    (launch,) = merged(program).launches
    assert len(program.launches) > 1
    assert {3.5, 7.25} <= set(launch.numbers)
