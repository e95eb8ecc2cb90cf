"""Scans as loops: the same values and gradients as unrolled step by step, and what is computed where."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from host_kernels import HostKernels

import graphdl
from graphdl.compiler import listing, recurrence
from graphdl.compiler.build import build
from graphdl.compiler.lowering import Lowered, lower
from graphdl.compiler.program import Program, Target
from graphdl.compiler.reverse import gradients
from graphdl.graph.model import ModuleGraph
from graphdl.operators.random import SEED
from graphdl.operators.reduction import reduce
from graphdl.operators.tensor import Tensor
from graphdl.runtime import Device
from graphdl.training.program import seed_array, total_loss

CPU = Target("cpu", vector_width=16, compute_units=2)
GPU = Target("gpu", vector_width=4, compute_units=8)

CUMULATIVE = """
    input x: [7, 5]
    running, total = scan s in x, sum_so_far = zeros([5]) { sum_so_far = sum_so_far + s * s; emit sum_so_far }
    output running
    loss sum(running * running) + sum(total)
"""
ELMAN = """
    input x: [LENGTH, 3]
    inward = linear(UNITS)
    back = linear(UNITS, bias = false)
    param h0: [UNITS] = normal(0, 1)
    y, last = scan xt in x, h = h0 { h = tanh((xt -> inward) + (h -> back)); emit 2 * h }
    output y
    loss mean(y * y) + sum(last)
"""
LSTM = """
    input x: [LENGTH, 5]
    y, h, c = x -> lstm(UNITS)
    z, _, c2 = reverse(y) -> lstm(3)
    output z
    loss mean(z * z) + sum(h * c) + sum(c2)
"""
GRU = """
    input x: [LENGTH, 5]
    y, h = x -> gru(UNITS)
    output y
    loss mean(y * y) + sum(h)
"""
ATTENTION = """
    input source: [6, 4]
    input words: class(9)[LENGTH]
    score = linear(4, bias = false)
    join = linear(4)
    table = embedding(4)
    attended, weights, last, _ = scan word in words, h = zeros([4]), fed = zeros([4]) {
        h = tanh((concat(word -> table, fed, h)) -> linear(4))
        weight = softmax(source @ (h -> score))
        fed = tanh(concat(weight @ source, h) -> join)
        emit fed, weight
    }
    logits = attended -> linear(9)
    output weights
    loss cross_entropy(logits, words) + sum(last * last)
"""
PROJECTED = """
    input x: [LENGTH, 3]
    out = linear(7)
    y, norms, h, n = scan xt in x, h = zeros([4]), n = 0.0 {
        h = tanh(concat(xt, h) -> linear(4))
        n = n + max(h * xt[0])
        emit h -> out, sum(h * h)
    }
    output y
    output norms
    loss mean(y * y) + sum(norms * norms) + n
"""
SWAPPED = """
    input x: [LENGTH, 3]
    a, b, c = scan xt in x, a = ones([3]), b = zeros([3]), c = zeros([3]) {
        old = a
        a = b * 0.5 + xt
        b = old
        c = xt
    }
    output a
    loss sum(a * b) + sum(c * c)
"""
NESTED = """
    input x: [LENGTH, 4, 3]
    back = linear(3)
    y, last = scan row in x, h = zeros([3]) {
        g = scan xt in row, g = h { g = tanh((g -> back) + xt) }
        h = h * 0.5 + g
        emit h * row[0]
    }
    output y
    loss mean(y * y) + sum(last * last)
"""
NO_STATE = """
    input x: [LENGTH, 3]
    y = scan xt in x { emit softmax(xt -> linear(4)) * sum(xt) }
    output y
    loss sum(y * y)
"""
CONVOLVED = """
    input x: [LENGTH, 2, 5, 6]
    inward = conv(3, 3, pad = 1)
    back = conv(3, 3, pad = 1, bias = false)
    y, last = scan xt in x, h = zeros([3, 5, 6]) { h = tanh((xt -> inward) + (h -> back)); emit mean(h, axis = [1, 2]) }
    output y
    loss sum(y * y) + mean(last -> conv(2, 3))
"""
COUNTED = """
    input x: [LENGTH, 3]
    param table: [5, 3] = normal(0, 1)
    y, h, k = scan xt in x, h = zeros([3]), k = int(zeros([])) {
        h = tanh(h * 0.5 + xt + take(table, k % 5))
        k = k + 2
        emit h
    }
    output y
    output k
    loss sum(y * y)
"""
NORMALIZED = """
    input x: [LENGTH, 3]
    y, h = scan xt in x, h = zeros([4]) {
        h = concat(xt, h) -> linear(4)
        h = (h - batch_mean(h)) / sqrt(batch_var(h) + 0.1)
        emit h
    }
    output y
    loss sum(y * y) + sum(h)
"""
DROPPED = """
    input x: [LENGTH, 3]
    y, h = scan xt in x, h = ones([8]) { h = tanh(concat(xt, h) -> linear(8)) -> dropout(0.4); emit h }
    output y
    loss sum(y * y)
"""
DROPPED_WITHIN = """
    input x: [LENGTH, 2, 3]
    y, h = scan row in x, h = ones([3]) {
        h = scan xt in row, g = h { g = tanh(g + xt) -> dropout(0.5) }
        emit h
    }
    output y
    loss sum(y * y)
"""
UNBATCHED = """
    input x: [LENGTH, 3]
    param w: [LENGTH, 3] = normal(0, 1)
    y, h = scan wt in w, h = zeros([3]) { h = tanh(h * 0.3 + wt); emit h }
    output z = y * x
    loss sum(y * x) + sum(h * h)
"""
ONLY_LAST = """
    input x: [LENGTH, 3]
    h = scan xt in x, h = zeros([6]) { h = tanh(concat(xt, h) -> linear(6)) }
    output h
    loss sum(h * h)
"""
SORTED = """
    input x: [LENGTH, 7]
    input words: class(40)[LENGTH, 5]
    param table: [40, 7] = normal(0, 1)
    y, places, h = scan xt in x, many in words, h = zeros([7]) {
        greatest, place = topk(xt + h, k = 7)
        h = cumsum(greatest) * 0.1 + tanh(sum(take(table, many), axis = 0)) + sort(h * xt)
        emit h, place
    }
    output y
    output places
    loss sum(y * y) + sum(h)
"""
NETS = {
    "cumulative": CUMULATIVE, "elman": ELMAN, "lstm": LSTM, "gru": GRU, "attention": ATTENTION, "projected": PROJECTED,
    "swapped": SWAPPED, "nested": NESTED, "no state": NO_STATE, "convolved": CONVOLVED, "counted": COUNTED,
    "normalized": NORMALIZED, "dropped": DROPPED, "dropped within": DROPPED_WITHIN, "unbatched": UNBATCHED,
    "only last": ONLY_LAST, "sorted": SORTED,
}  # fmt: skip


def model(text: str, length: int = 4, units: int = 3) -> graphdl.Model:
    text = text.replace("LENGTH", str(length)).replace("UNITS", str(units))
    return graphdl.loads(f"net n() {{\n{text}\n}}", seed=3)


def step(graph: ModuleGraph, lowered: Lowered) -> dict[str, Tensor]:
    """Loss, outputs and gradients."""
    loss = total_loss(lowered, tuple(graph.losses))
    found = zip(lowered.parameters, gradients(loss, list(lowered.parameters.values())), strict=True)
    return {"loss": loss, **lowered.outputs, **{f"slope of {path}": g for path, g in found}}


def fed(graph: ModuleGraph, batch: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(1)
    arrays: dict[str, np.ndarray] = {SEED: seed_array(5, 2)}
    for name, value in graph.inputs.items():
        shape = (batch, *value.type.shape)
        if value.type.classes is not None:
            arrays[name] = random.integers(0, value.type.classes, shape).astype(np.int32)
        else:
            arrays[name] = random.normal(size=shape).astype(np.float32)
    return arrays


def program_of(net: graphdl.Model, unrolled: bool, target: Target, batch: int = 3) -> Program:
    graph = net.network.training
    return build(step(graph, lower(graph, batch, unrolled=unrolled)), {}, target)


def results(net: graphdl.Model, unrolled: bool, device: Device) -> tuple[Program, Mapping[str, np.ndarray]]:
    program = program_of(net, unrolled, device.target)
    executor = net.network.load(program)
    executor.run({name: array for name, array in fed(net.network.training, 3).items() if name in program.feeds})
    return program, {name: executor.fetch(name) for name in program.fetches}


def agree(found: Mapping[str, np.ndarray], wanted: Mapping[str, np.ndarray]) -> None:
    assert set(found) >= set(wanted)
    for name, array in wanted.items():
        scale = np.abs(array).max() + 1e-3
        np.testing.assert_allclose(found[name] / scale, array / scale, atol=2e-5, err_msg=name)


@pytest.mark.parametrize("name", [name for name in NETS if name != "no state"])
def test_a_loop_is_the_scan_unrolled(name: str, device: Device) -> None:
    net = model(NETS[name])
    loops, found = results(net, False, device)
    plain, wanted = results(net, True, device)
    assert loops.loops
    assert not plain.loops
    agree(found, wanted)


def test_steps_without_a_state_need_no_loop(device: Device) -> None:
    net = model(NO_STATE)
    program, found = results(net, False, device)
    assert not program.loops
    agree(found, results(net, True, device)[1])


def test_the_matrix_of_a_loop_is_packed_once() -> None:
    program = program_of(model(NETS["lstm"]), False, CPU, batch=17)
    numbers = [number for number, launch in enumerate(program.launches) if launch.kernel.startswith("pack_panels")]
    assert numbers
    assert all(program.launches[number].times == 1 for number in numbers)
    assert not any(loop.first <= number < loop.end for loop in program.loops for number in numbers)


def on_host(nets: Mapping[str, graphdl.Model], target: Target, folder: Path, batch: int = 3) -> None:
    """Compares loops with scans unrolled, in kernels whose buffers lie between stretches of NaN."""
    pairs = {
        name: [program_of(net, unrolled, target, batch) for unrolled in (False, True)] for name, net in nets.items()
    }
    kernels = HostKernels([program for pair in pairs.values() for program in pair], folder)
    for name, net in nets.items():
        values = {path: net.network.read(path) for path in net.network.variables}
        given = {**fed(net.network.training, batch), **values}
        found, wanted = (kernels.run(program, given) for program in pairs[name])
        agree(found, {key: array for key, array in wanted.items() if key in pairs[name][1].fetches})


@pytest.mark.parametrize("target", [CPU, GPU], ids=["cpu", "gpu"])
def test_odd_sizes_and_single_steps(target: Target, tmp_path: Path) -> None:
    texts = {"elman": ELMAN, "lstm": LSTM, "gru": GRU, "attention": ATTENTION, "projected": PROJECTED}
    sizes = [(1, 3), (2, 17), (5, 1)]
    nets = {f"{name} {size}": model(text, *size) for name, text in texts.items() for size in sizes}
    on_host(nets, target, tmp_path)


def test_one_example(tmp_path: Path) -> None:
    on_host({name: model(NETS[name]) for name in ("lstm", "gru", "nested", "counted")}, CPU, tmp_path, batch=1)


def test_many_examples(tmp_path: Path) -> None:
    """So many that a product has several tiles of rows."""
    nets = {f"{name} {size}": model(NETS[name], *size) for name in ("lstm", "gru", "nested") for size in [(3, 17)]}
    on_host(nets, CPU, tmp_path, batch=18)


def test_what_is_summed_in_the_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A gradient that no product sums, and whose values at all steps are too many to be kept."""
    text = """
        input x: [LENGTH, 3]
        param w: [LENGTH, 3] = normal(0, 1)
        param v: [3] = normal(0, 1)
        y, h = scan wt in w, h = zeros([3]) { h = tanh(h * v + wt); emit h * v }
        output z = y * x
        loss sum(y * x) + sum(h * h)
    """
    kept = build(step(*lowered_loop(model(text))), {}, CPU)
    monkeypatch.setattr(recurrence, "MOST_KEPT", 0)
    summed = build(step(*lowered_loop(model(text))), {}, CPU)
    assert len(summed.launches) == len(kept.launches) - 1  # no sum after the loop
    on_host({"summed": model(text)}, CPU, tmp_path)


RECOMPUTED = """
    input x: [LENGTH, 6, 4]
    input n: [3]
    param k: [6, 4] = normal(0, 1)
    param s: [] = 0.7
    y, row, h = scan recompute q in x, h = ones([4]) {
        w = softmax(q @ transpose(k) * s + n[0])
        z = (w -> dropout(0.3)) @ k + h
        h = tanh(mean(z, axis = 0) -> linear(4))
        emit z, w[0]
    }
    output y
    loss mean(y * y) + sum(h * h) + sum(row * row)
"""
RECOMPUTED_ALONE = """
    input x: [LENGTH, 6, 4]
    param k: [5, 4] = normal(0, 1)
    y = scan recompute q in x { emit softmax(q @ transpose(k)) @ tanh(k) }
    output y
    loss mean(y * y)
"""


@pytest.mark.parametrize("target", [CPU, GPU], ids=["cpu", "gpu"])
def test_steps_that_are_computed_again(target: Target, tmp_path: Path) -> None:
    texts = {"states": RECOMPUTED, "alone": RECOMPUTED_ALONE}
    on_host({name: model(text, length=3) for name, text in texts.items()}, target, tmp_path, batch=2)


def test_a_loop_that_computes_again_keeps_nothing_of_its_steps() -> None:
    """Its memory has one more item and one more result for each step, and no product of the step."""
    text = RECOMPUTED_ALONE.replace("[5, 4]", "[500, 4]")
    used = [program_of(model(text, length), False, CPU).live_bytes for length in (40, 60)]
    stored = [program_of(model(text.replace(" recompute", ""), length), False, CPU).live_bytes for length in (40, 60)]
    item = 3 * 6 * 4 * 4  # of a batch of 3
    assert used[1] - used[0] <= 20 * item * 6
    assert stored[1] - stored[0] >= 20 * 3 * 6 * 500 * 4


def lowered_loop(net: graphdl.Model, batch: int = 3) -> tuple[ModuleGraph, Lowered]:
    return net.network.training, lower(net.network.training, batch, unrolled=False)


def test_gradients_of_gradients(tmp_path: Path) -> None:
    net = model(ELMAN)
    programs = []
    for unrolled in (False, True):
        lowered = lower(net.network.training, 2, unrolled=unrolled)
        parameters = list(lowered.parameters.values())
        slopes = gradients(total_loss(lowered, tuple(lowered.losses)), parameters)
        squares = [reduce("sum", g * g, range(g.rank), keep=False) for g in slopes]
        total = squares[0]
        for square in squares[1:]:
            total = total + square
        second = gradients(total, parameters)
        programs.append(build(dict(zip(lowered.parameters, second, strict=True)), {}, CPU))
    kernels = HostKernels(programs, tmp_path)
    given = {**fed(net.network.training, 2), **{path: net.network.read(path) for path in net.network.variables}}
    found, wanted = (kernels.run(program, given) for program in programs)
    agree(found, {path: wanted[path] for path in programs[1].fetches})


class TestWhatIsComputedWhere:
    def _program(self, text: str, length: int, units: int = 8) -> Program:
        return program_of(model(text, length, units), False, CPU)

    def _products(self, program: Program) -> tuple[int, int]:
        """The products outside of loops, and those in one turn of all loops."""
        inside = {k for loop in program.loops for k in range(loop.first, loop.end)}
        products = [k for k, launch in enumerate(program.launches) if launch.kernel.startswith("matmul")]
        return sum(k not in inside for k in products), sum(k in inside for k in products)

    def test_the_length_changes_no_kernel_of_the_body(self) -> None:
        short, long = self._program(LSTM, 50), self._program(LSTM, 800)
        assert [loop.count for loop in long.loops] == [800] * 4

        def bodies(program: Program) -> list[list[str]]:
            return [[x.kernel for x in program.launches[loop.first : loop.end]] for loop in program.loops]

        assert bodies(short) == bodies(long)

    def test_one_product_a_step_and_direction(self) -> None:
        """The products with the items come before the loops, the gradients of the matrices after them."""
        outside, inside = self._products(self._program(ELMAN, 20))
        assert inside == 2
        assert outside == 3  # x W, and the gradients of both matrices; nobody wants that of x

    def test_a_projection_of_what_is_emitted_is_one_product(self) -> None:
        program = self._program(PROJECTED, 20)
        (forward, _) = program.loops
        products = [k for k in range(forward.first, forward.end) if program.launches[k].kernel.startswith("matmul")]
        assert len(products) == 1

    def test_a_state_that_is_not_asked_for_lies_in_memory_once(self) -> None:
        net = model(LSTM.replace("sum(h * c)", "sum(h)"), 100, 8)
        lowered = lower(net.network.inference, 32, unrolled=False)
        program = build({"z": lowered.outputs["z"]}, {}, CPU)
        step_bytes = 32 * 8 * 4
        sequences = 4 * 100 * step_bytes + 101 * step_bytes  # x W of the first layer, and its states
        assert program.arena_bytes < 1.5 * sequences

    def test_the_listing_shows_the_body_once(self) -> None:
        text = listing.schedule(self._program(ELMAN, 20))
        assert text.count("20 times:") == 2
        lowered = lower(model(ELMAN, 20).network.training, 3, unrolled=False)
        body = listing.operators(lowered.outputs)
        assert "loop(" in body
        assert body.count("becomes") == 1

    @pytest.mark.parametrize(
        ("text", "length", "loops"),
        [(CUMULATIVE, 7, False), (ELMAN, 1, False), (ELMAN, 2, True), (UNBATCHED, 33, True)],
    )
    def test_what_is_unrolled(self, text: str, length: int, loops: bool) -> None:
        graph = model(text, length).network.training
        assert bool(build(step(graph, lower(graph, 3)), {}, CPU).loops) == loops
