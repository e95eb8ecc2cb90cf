"""What the compiler makes of a graph: launches, memory, updates in place, and one result on every kind of device."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import pytest
import torch

from graphdl.compiler.build import build
from graphdl.compiler.program import Program, Target
from graphdl.compiler.reverse import gradients
from graphdl.compiler.simplify import simplify
from graphdl.operators.convolution import Geometry, convolution
from graphdl.operators.elementwise import apply
from graphdl.operators.gather import pick
from graphdl.operators.matmul import matmul
from graphdl.operators.reduction import reduce
from graphdl.operators.structure import Concat, concat, pad, reshape, slice_, transpose
from graphdl.operators.tensor import Tensor, array, constant, feed, read
from graphdl.operators.window import im2col
from graphdl.runtime.executor import Executor
from graphdl.runtime.opencl import Device
from graphdl.runtime.variables import VariableStore

CPU = Target("cpu", vector_width=16, compute_units=2)


def run(
    fetches: Mapping[str, Tensor],
    feeds: Mapping[str, np.ndarray],
    device: Device,
    target: Target | None = None,
) -> dict[str, np.ndarray]:
    program = build(fetches, {}, target or device.target)
    executor = Executor(program, device, VariableStore(device))
    executor.run({name: feeds[name] for name in program.feeds})
    return {name: executor.fetch(name) for name in fetches}


def drawn(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


class TestFusion:
    def test_an_elementwise_chain_is_one_launch(self) -> None:
        x = feed("x", (64, 100))
        y = apply("tanh", apply("exp", x * 2.0) + 1.0) * x
        assert len(build({"y": y}, {}, CPU).launches) == 1

    def test_bias_and_activation_go_into_the_matrix_product(self) -> None:
        x, w, b = feed("x", (64, 100)), read("w", (100, 50)), read("b", (50,))
        program = build({"y": apply("maximum", matmul(x, w) + b, 0.0)}, {}, CPU)
        assert len(program.launches) == 1
        assert program.arena_bytes == 0

    def test_bias_and_activation_go_into_the_convolution(self) -> None:
        x, w, b = feed("x", (4, 1, 12, 12)), read("w", (8, 1, 3, 3)), read("b", (8,))
        y = convolution(x, w, Geometry((1, 1), (1, 1), 1)) + reshape(b, (8, 1, 1))
        program = build({"y": apply("maximum", y, 0.0)}, {}, CPU)
        assert [launch.kernel.split("_")[0] for launch in program.launches] == ["pack", "convolution"]

    def test_a_pooling_stores_no_windows(self) -> None:
        x = feed("x", (4, 8, 12, 12))
        program = build({"y": reduce("max", im2col(x, (2, 2), (2, 2)), (4, 5), keep=False)}, {}, CPU)
        assert len(program.launches) == 1
        assert program.arena_bytes == 0

    def test_the_update_goes_into_the_kernel_of_the_gradient(self) -> None:
        x, w, v = feed("x", (64, 100)), read("w", (100, 50)), read("v", (100, 50))
        y = matmul(x, w)
        (g,) = gradients(reduce("sum", y * y, (0, 1), keep=False), [w])
        momentum = v * 0.9 + g
        program = build({}, {"v": momentum, "w": w - momentum * 0.1}, CPU)
        assert len(program.launches) == 2

    def test_equal_subexpressions_are_computed_once(self) -> None:
        x = feed("x", (64, 100))
        a = reduce("sum", apply("exp", x), (1,))
        b = reduce("sum", apply("exp", x), (1,))
        assert len(build({"y": a + b}, {}, CPU).launches) == 1

    def test_several_reductions_of_one_tensor_share_a_pass(self) -> None:
        x = feed("x", (640, 100))
        y = {"sum": reduce("sum", x, (1,)), "max": reduce("max", x, (1,)), "squares": reduce("sum", x * x, (1,))}
        assert len(build(y, {}, CPU).launches) == 1


class TestAssembly:
    """Concatenations that lie in memory as a whole, written piece by piece."""

    def _steps(self, count: int) -> tuple[list[Tensor], Tensor]:
        """A recurrent chain: what each step makes goes to the next one and into the whole."""
        w, h = feed("w", (17, 17)), feed("h", (5, 17))
        states = []
        for _ in range(count):
            h = apply("tanh", matmul(h, w))
            states.append(h)
        return states, concat([reshape(s, (5, 1, 17)) for s in states], 1)

    def _expected(self, count: int) -> np.ndarray:
        h, w, states = drawn(5, 17), drawn(17, 17, seed=1) * 0.3, []
        for _ in range(count):
            h = np.tanh(h @ w)
            states.append(h)
        return np.stack(states, 1)

    def test_the_steps_of_a_scan_are_stored_where_they_belong(self, device: Device) -> None:
        _, whole = self._steps(12)
        program = build({"y": whole}, {}, CPU)
        assert len(program.launches) == 12
        assert program.arena_bytes == 0
        feeds = {"h": drawn(5, 17), "w": drawn(17, 17, seed=1) * 0.3}
        np.testing.assert_allclose(run({"y": whole}, feeds, device)["y"], self._expected(12), rtol=1e-5, atol=1e-6)

    def test_steps_that_differ_in_their_place_alone_share_a_kernel(self) -> None:
        _, whole = self._steps(12)
        assert len(build({"y": whole}, {}, CPU).kernels) <= 2

    def test_a_whole_that_a_product_reads(self, device: Device) -> None:
        _, whole = self._steps(3)
        y = matmul(whole, feed("v", (17, 4)))
        feeds = {"h": drawn(5, 17), "w": drawn(17, 17, seed=1) * 0.3, "v": drawn(17, 4, seed=2)}
        want = self._expected(3) @ feeds["v"]
        np.testing.assert_allclose(run({"y": y}, feeds, device)["y"], want, rtol=1e-4, atol=1e-5)

    def test_a_piece_may_belong_to_two_wholes_and_be_a_result(self, device: Device) -> None:
        states, whole = self._steps(10)
        twice = concat([states[0], *states], 1)
        feeds = {"h": drawn(5, 17), "w": drawn(17, 17, seed=1) * 0.3}
        got = run({"whole": whole, "twice": twice, "last": states[-1]}, feeds, device)
        want = self._expected(10)
        np.testing.assert_allclose(got["whole"], want, rtol=1e-5, atol=1e-6)
        flat = np.concatenate([want[:, 0], *(want[:, t] for t in range(10))], 1)
        np.testing.assert_allclose(got["twice"], flat, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(got["last"], want[:, -1], rtol=1e-5, atol=1e-6)

    def test_the_gradient_of_a_sequence_read_step_by_step_is_no_sum(self, device: Device) -> None:
        x = feed("x", (5, 12, 7))
        steps = [reshape(slice_(x, (0, t, 0), (1, 1, 1), (5, 1, 7)), (5, 7)) for t in range(12)]
        total = constant(0.0)
        for t, step in enumerate(steps):
            total = total + reduce("sum", step * step * float(t), (0, 1), keep=False)
        (g,) = gradients(total, [x])
        assert isinstance(simplify({"g": g})["g"].operation, Concat)
        want = 2 * drawn(5, 12, 7) * np.arange(12)[:, None]
        np.testing.assert_allclose(run({"g": g}, {"x": drawn(5, 12, 7)}, device)["g"], want, rtol=1e-5)

    def test_no_kernel_takes_more_arguments_than_opencl_promises(self) -> None:
        total = feed("x0", (40, 40))
        for k in range(1, 150):
            total = total + feed(f"x{k}", (40, 40))
        program = build({"y": total, "z": total * 2.0}, {}, CPU)
        assert max(len(launch.bindings) for launch in program.launches) <= 64

    def test_channels_joined_for_a_convolution(self, device: Device) -> None:
        x, w, v = drawn(3, 4, 7, 9), drawn(5, 4, 1, 1, seed=1), drawn(6, 14, 3, 3, seed=2)
        image = feed("x", x.shape)
        geometry = Geometry((1, 1), (1, 1), 1)
        left = apply("maximum", convolution(image, feed("w", w.shape), geometry), 0.0)
        y = convolution(concat([left, image, left], 1), feed("v", v.shape), geometry)
        t = torch.conv2d(torch.tensor(x), torch.tensor(w)).relu()
        want = torch.conv2d(torch.cat([t, torch.tensor(x), t], 1), torch.tensor(v)).numpy()
        got = run({"y": y}, {"x": x, "w": w, "v": v}, device)["y"]
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4)


class TestUpdates:
    def _stepped(
        self, updates: Mapping[str, Tensor], values: Mapping[str, np.ndarray], device: Device
    ) -> VariableStore:
        program = build({}, updates, device.target)
        store = VariableStore(device)
        executor = Executor(program, device, store)
        for name, value in values.items():
            store[name] = value
        executor.run({})
        executor.finish()
        return store

    def test_all_updates_start_from_the_old_values(self, device: Device) -> None:
        a, b = read("a", (33, 17)), read("b", (33, 17))
        values = {"a": drawn(33, 17), "b": drawn(33, 17, seed=1)}
        store = self._stepped({"a": b * 2.0, "b": a + b}, values, device)
        np.testing.assert_array_equal(store["a"], values["b"] * 2)
        np.testing.assert_array_equal(store["b"], values["a"] + values["b"])

    def test_an_update_may_read_its_own_variable_elsewhere(self, device: Device) -> None:
        a = read("a", (33, 33))
        value = drawn(33, 33)
        store = self._stepped({"a": a + transpose(a, (1, 0))}, {"a": value}, device)
        np.testing.assert_allclose(store["a"], value + value.T)

    def test_an_update_may_be_a_product_with_its_own_variable(self, device: Device) -> None:
        a = read("a", (33, 33))
        value = drawn(33, 33)
        store = self._stepped({"a": matmul(a, a)}, {"a": value}, device)
        np.testing.assert_allclose(store["a"], value @ value, rtol=1e-4, atol=1e-4)

    def test_an_update_in_a_pass_that_gives_another_result_the_old_value_elsewhere(self, device: Device) -> None:
        """Two sums share a pass; the result goes through them transposed, so it reads the old value out of step."""
        x, w = feed("x", (7, 7, 9)), read("w", (7, 7))
        total = reduce("sum", x, (2,), keep=False)
        squares = reduce("sum", x * x, (2,), keep=False)
        program = build({"y": transpose(total, (1, 0)) + w}, {"w": w - squares}, device.target)
        store = VariableStore(device)
        executor = Executor(program, device, store)
        data, old = drawn(7, 7, 9), drawn(7, 7, seed=1)
        store["w"] = old
        executor.run({"x": data})
        np.testing.assert_allclose(executor.fetch("y"), data.sum(2).T + old, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(store["w"], old - (data * data).sum(2), rtol=1e-5, atol=1e-5)

    def test_swapping_two_variables(self, device: Device) -> None:
        a, b = read("a", (5,)), read("b", (5,))
        values = {"a": drawn(5), "b": drawn(5, seed=1)}
        store = self._stepped({"a": b, "b": a}, values, device)
        np.testing.assert_array_equal(store["a"], values["b"])
        np.testing.assert_array_equal(store["b"], values["a"])


class TestResults:
    def test_sources_constants_and_one_tensor_twice(self, device: Device) -> None:
        x = feed("x", (3, 5))
        y = x + 1.0
        got = run(
            {"x": x, "a": y, "b": y, "c": constant(2.5), "t": array([[1, 2], [3, 4]])}, {"x": drawn(3, 5)}, device
        )
        np.testing.assert_array_equal(got["x"], drawn(3, 5))
        np.testing.assert_array_equal(got["a"], got["b"])
        np.testing.assert_array_equal(got["c"], np.float32(2.5))
        np.testing.assert_array_equal(got["t"], [[1, 2], [3, 4]])

    def test_a_result_that_a_convolution_reads_is_still_channels_first(self, device: Device) -> None:
        x, w = drawn(3, 4, 7, 9), drawn(5, 4, 3, 3, seed=1)
        middle = apply("maximum", feed("x", x.shape), 0.0)
        y = convolution(middle, feed("w", w.shape), Geometry((1, 1), (1, 1), 1))
        got = run({"middle": middle, "y": y}, {"x": x, "w": w}, device)
        np.testing.assert_array_equal(got["middle"], np.maximum(x, 0))
        want = torch.conv2d(torch.tensor(np.maximum(x, 0)), torch.tensor(w)).numpy()
        np.testing.assert_allclose(got["y"], want, rtol=1e-4, atol=1e-4)

    def test_whole_numbers_and_truth_values(self, device: Device) -> None:
        x = feed("x", (37,), "int")
        got = run(
            {"even": apply("equal", apply("remainder", x, 2.0), 0.0), "twice": x + x}, {"x": np.arange(37)}, device
        )
        np.testing.assert_array_equal(got["even"], np.arange(37) % 2 == 0)
        np.testing.assert_array_equal(got["twice"], np.arange(37) * 2)

    def test_truth_values_are_counted(self, device: Device) -> None:
        x = drawn(2, 33)
        t = feed("x", x.shape)
        got = run({"y": apply("greater", t, 0.0) + apply("greater", t, 1.0)}, {"x": x}, device)
        np.testing.assert_array_equal(got["y"], (x > 0).astype(int) + (x > 1))

    def test_nan_goes_through_maximum_and_sum(self, device: Device) -> None:
        x = np.array([1.0, np.nan, -1.0] * 11, np.float32)
        t = feed("x", x.shape)
        got = run({"relu": apply("maximum", t, 0.0), "sum": reduce("sum", t, (0,))}, {"x": x}, device)
        np.testing.assert_array_equal(got["relu"], np.maximum(x, 0))
        assert np.isnan(got["sum"]).all()


def convolutional_step(batch: int) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """A small net with every family of kernel in it, and its updates."""
    x = feed("x", (batch, 3, 13, 13))
    w1, w2, w3 = read("w1", (20, 3, 3, 3)), read("w2", (6, 20, 3, 3)), read("w3", (66, 10))
    h = convolution(pad(x, (0, 0, 1, 1), (0, 0, 1, 1)), w1, Geometry((1, 1), (1, 1), 1))
    mean = reduce("sum", h, (0, 2, 3)) * (1.0 / (batch * 169))
    h = apply("maximum", (h - mean) * apply("rsqrt", reduce("sum", (h - mean) * (h - mean), (0, 2, 3)) + 1.0), 0.0)
    left = convolution(pad(h, (0, 0, 1, 1), (0, 0, 1, 1)), w2, Geometry((2, 2), (1, 1), 1))
    right = reduce("max", im2col(h, (3, 3), (2, 2)), (4, 5), keep=False)
    left = slice_(left, (0, 0, 0, 0), (1, 1, 1, 1), (batch, 6, 6, 6))
    both = concat([left, slice_(right, (0, 0, 0, 0), (1, 1, 1, 1), (batch, 5, 6, 6))], 1)
    pooled = reduce("sum", im2col(both, (6, 1), (1, 1)), (4, 5), keep=False)
    flat = reshape(pooled, (batch, 66))
    logits = matmul(flat, w3)
    loss = reduce("sum", apply("log", reduce("sum", apply("exp", logits * 0.1), (1,))), (0, 1), keep=False)
    grads = gradients(loss, [w1, w2, w3])
    updates = {name: w - g * 0.01 for name, w, g in zip(("w1", "w2", "w3"), (w1, w2, w3), grads, strict=True)}
    return {"loss": loss}, updates


def stepped(target: Target, device: Device, steps: int = 3) -> tuple[list[float], dict[str, np.ndarray]]:
    fetches, updates = convolutional_step(5)
    program = build(fetches, updates, target)
    store = VariableStore(device)
    executor = Executor(program, device, store)
    for k, name in enumerate(program.variables):
        store[name] = drawn(*program.variables[name].shape, seed=k) * 0.1
    losses = []
    for step in range(steps):
        executor.run({"x": drawn(5, 3, 13, 13, seed=step)})
        losses.append(float(executor.fetch("loss")))
    return losses, {name: store[name] for name in program.variables}


@pytest.mark.parametrize(
    "target",
    [
        replace(CPU, vector_width=8),
        replace(CPU, vector_width=4, compute_units=7),
        Target("gpu", vector_width=4, compute_units=8),
        Target("gpu", vector_width=1, compute_units=2, max_work_group=64),
    ],
    ids=lambda t: f"{t.kind}-{t.vector_width}-{t.compute_units}",
)
def test_every_kind_of_device_gets_the_same_numbers(target: Target, device: Device) -> None:
    losses, weights = stepped(CPU, device)
    other_losses, other_weights = stepped(target, device)
    np.testing.assert_allclose(other_losses, losses, rtol=1e-5)
    for name, value in weights.items():
        np.testing.assert_allclose(other_weights[name], value, rtol=1e-4, atol=1e-5)


def test_filters_that_a_kernel_computes_are_read_as_they_lie(device: Device) -> None:
    """A GPU's kernel reads filters row-major, although it reads images channels-last."""
    y = convolution(feed("x", (2, 3, 7, 6)), feed("w", (4, 3, 3, 3)) * 2.0, Geometry((1, 1), (1, 1), 1))
    feeds = {"x": drawn(2, 3, 7, 6), "w": drawn(4, 3, 3, 3, seed=1)}
    wanted = torch.nn.functional.conv2d(torch.tensor(feeds["x"]), torch.tensor(feeds["w"]) * 2.0)
    for target in (CPU, Target("gpu", vector_width=4, compute_units=8)):
        np.testing.assert_allclose(run({"y": y}, feeds, device, target)["y"], wanted, rtol=1e-5, atol=1e-5)


def test_a_run_repeats_bit_for_bit(device: Device) -> None:
    first, second = stepped(device.target, device), stepped(device.target, device)
    assert first[0] == second[0]
    for name, value in first[1].items():
        np.testing.assert_array_equal(second[1][name], value)


def overlaps(program: Program) -> list[tuple[str, str]]:
    """Pairs of blocks that lie in the same place at the same time."""
    blocks = program.arena_blocks
    return [
        (a.label, b.label)
        for k, a in enumerate(blocks)
        for b in blocks[:k]
        if a.first <= b.last and b.first <= a.last and a.offset < b.offset + b.nbytes and b.offset < a.offset + a.nbytes
    ]


def test_the_plan_is_near_the_least_possible() -> None:
    fetches, updates = convolutional_step(64)
    program = build(fetches, updates, CPU)
    assert program.live_bytes > 1 << 20
    assert program.arena_bytes <= 1.1 * program.live_bytes
    assert program.flops > 2e7


def test_long_reductions_use_all_cores_and_stay_exact(device: Device) -> None:
    x = drawn(64, 3, 40, 40)
    t = feed("x", x.shape)
    program = build({"sum": reduce("sum", t, (0, 2, 3))}, {}, CPU)
    assert len(program.launches) == 2
    got = run({"sum": reduce("sum", t, (0, 2, 3)), "max": reduce("max", t, (0, 2, 3))}, {"x": x}, device)
    np.testing.assert_allclose(got["sum"], x.astype(np.float64).sum((0, 2, 3), keepdims=True), rtol=1e-4, atol=1e-2)
    np.testing.assert_array_equal(got["max"], x.max((0, 2, 3), keepdims=True))


@pytest.mark.parametrize("count", [32, 100, 128])
def test_sums_of_negated_terms_are_no_chains_of_subtractions(count: int, device: Device) -> None:
    """Intel's compiler adds such a chain up as a tree of subtractions: no sign may stand before what is added."""
    x, w = drawn(count, 10), drawn(count, seed=1)
    k = np.arange(count, dtype=np.int32) % 10
    table, weight, index = feed("x", x.shape), feed("w", w.shape), feed("k", k.shape, "int")
    picked = pick(table, index, known=True)
    terms = {"plain": -picked, "twice": picked * -2.0, "product": picked * -weight, "both": (picked * -1.5) * -weight}
    sums = {name: reduce("sum", term, (0,)) for name, term in terms.items()}
    for name, total in sums.items():
        for kernel in build({name: total}, {}, CPU).kernels.values():
            added = re.search(r"r0(?:_part)? \+= (\w+);", kernel.source)
            assert added, kernel.source
            assert f"{added[1]} = (-" not in kernel.source
            assert "-1.5f" not in kernel.source
            assert "-2.0f" not in kernel.source
    got = run(sums, {"x": x, "w": w, "k": k}, device)
    chosen = x.astype(np.float64)[np.arange(count), k]
    wanted = {"plain": -chosen, "twice": chosen * -2, "product": -chosen * w, "both": chosen * 1.5 * w}
    for name, value in wanted.items():
        np.testing.assert_allclose(got[name], [value.sum()], rtol=1e-4, atol=1e-4)


def test_a_negated_sum_of_zeros_is_zero(device: Device) -> None:
    got = run({"y": reduce("sum", -feed("x", (100,)), (0,))}, {"x": np.zeros(100, np.float32)}, device)
    assert str(got["y"]) == "[0.]"


@pytest.mark.parametrize("shape", [(100_003,), (9973, 16), (16, 9973)])
def test_long_sums_round_little(shape: tuple[int, ...], device: Device) -> None:
    """Terms of one sign: a plain sum of n of them in single precision is off by about n roundings."""
    x = np.abs(drawn(*shape)) + 1
    axis = int(np.argmax(shape))
    got = run({"y": reduce("sum", feed("x", shape), (axis,))}, {"x": x}, device)["y"]
    want = x.astype(np.float64).sum(axis, keepdims=True)
    np.testing.assert_allclose(got, want, rtol=2e-6)


def test_zeros_of_two_signs_are_two_constants(device: Device) -> None:
    x = feed("x", (3,))
    found = run({"y": x / constant(0.0), "z": x / constant(-0.0)}, {"x": np.ones(3, np.float32)}, device)
    assert np.isposinf(found["y"]).all()
    assert np.isneginf(found["z"]).all()


@pytest.mark.parametrize("exponent", [2.5, 1.5, 0.75, 0.25, -0.25, -0.75])
def test_powers_with_a_constant_exponent(exponent: float, device: Device) -> None:
    given = np.float32([0.0, 1e-10, 0.3, 1.0, 2.0, 1e10, np.inf, -2.0, np.nan])
    x = feed("x", given.shape)
    y = x**exponent
    (slope,) = gradients(reduce("sum", y, (0,), keep=False), [x])
    found = run({"y": y, "slope": slope}, {"x": given}, device)
    with np.errstate(all="ignore"):
        wide = given.astype(np.float64)
        np.testing.assert_allclose(found["y"], wide**exponent, rtol=1e-6)
        np.testing.assert_allclose(found["slope"], exponent * wide ** (exponent - 1), rtol=1e-6)


@pytest.mark.parametrize(("name", "function"), [("erf", math.erf), ("tanh", math.tanh)])
def test_quotients_of_polynomials(name: str, function: Callable[[float], float], device: Device) -> None:
    given = np.concatenate([np.linspace(-12, 12, 40_001), [1e-30, -1e-10, 0.0, np.inf, -np.inf]]).astype(np.float32)
    got = run({"y": apply(name, feed("x", given.shape))}, {"x": given}, device)["y"]
    np.testing.assert_allclose(got, [function(x) for x in given.tolist()], rtol=4e-7)
    assert np.abs(got).max() == 1.0
    got = run({"y": apply(name, feed("x", (9,)))}, {"x": np.full(9, np.nan, np.float32)}, device)["y"]
    assert np.isnan(got).all()
