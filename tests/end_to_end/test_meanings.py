"""What a file means where it is easily taken for something else: ints, chance, corners, indices."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torch.nn import functional

import graphdl
from graphdl.cli import main
from graphdl.diagnostics import ModelError

NAN = float("nan")


def answers(body: str, inputs: Sequence[str] = (), **arrays: Any) -> dict[str, np.ndarray]:
    """The outputs of a net with that body."""
    declared = "".join(f"    input {text}\n" for text in inputs)
    return graphdl.loads(f"net n() {{\n{declared}{body}\n}}").run(arrays)


def complaint(body: str, inputs: Sequence[str] = (), **arrays: Any) -> str:
    with pytest.raises(ModelError) as caught:
        answers(body, inputs, **arrays)
    (found,) = caught.value.diagnostics
    return f"{found.code}: {found.message}"


class TestWholeNumbers:
    def test_stay_whole_through_what_moves_and_adds_them(self) -> None:
        k = np.array([[[7, -7, 2**24 + 1], [1, 2, 3]]], np.int32)
        got = answers(
            """
            output flat = k -> flatten
            output turned = transpose(k)
            output total = sum(k)
            output quotient = k // 2
            output remainder = k % 4
            output halves = k + [0.5, 0.25, 1.0]
            """,
            ["k: int[2, 3]"], k=k,
        )  # fmt: skip
        want = {
            "flat": k.reshape(1, 6), "turned": k.transpose(0, 2, 1), "total": k.sum((1, 2), dtype=np.int32),
            "quotient": k // 2, "remainder": k % 4,
            "halves": k.astype(np.float32) + np.array([0.5, 0.25, 1.0], np.float32),
        }  # fmt: skip
        for name, array in want.items():
            np.testing.assert_array_equal(got[name], array)
            assert got[name].dtype == array.dtype, name

    def test_a_computed_index_is_an_index(self) -> None:
        k = np.array([[1, 3], [0, 2]], np.int32)
        got = answers("output y = take(tensor([0.5, 1.5, 2.5]), sum(k) // 2)", ["k: int[2]"], k=k)
        np.testing.assert_array_equal(got["y"], [2.5, 1.5])

    def test_are_no_image_and_no_filters(self) -> None:
        image = ["x: [1, 3, 3]", "k: int[1, 3, 3]", "w: int[1, 1, 2, 2]"]
        assert complaint("output convolve(k, [[[[1, 2], [3, 4]]]])", image) == (
            "E0301: a convolution works on floats, and the image is int[1, 3, 3]"
        )
        assert complaint("output convolve(x, w)", image) == (
            "E0301: a convolution works on floats, and the filters are int[1, 1, 2, 2]"
        )

    def test_of_more_than_32_bits_are_refused(self) -> None:
        assert complaint("output k + [1, 3000000000]", ["k: int[2]"]).startswith("E0308: a tensor holds ints")


def test_filters_may_be_written_out() -> None:
    x = np.random.default_rng(0).normal(size=(2, 1, 5, 5)).astype(np.float32)
    got = answers("output y = convolve(x, [[[[1, 2], [3, -4]]]], stride = 2)", ["x: [1, 5, 5]"], x=x)["y"]
    want = functional.conv2d(torch.tensor(x), torch.tensor([[[[1.0, 2.0], [3.0, -4.0]]]]), stride=2)
    np.testing.assert_allclose(got, want.numpy(), rtol=1e-5)


def test_each_example_draws_for_itself() -> None:
    got = answers(
        """
        output normal = normal_like(zeros([64]))
        output uniform = uniform_like(tensor([1.0, 2.0]))
        output coin = bernoulli(0.5 * ones([64]))
        output walked, _ = scan step in zeros([3, 8]), at = zeros([8]) {
            at = at + normal_like(step)
            emit at
        }
        """.replace("output walked, _ = scan", "walked, _ = scan") + "\noutput walked\noutput x",
        ["x: [1]"], x=np.zeros((4, 1), np.float32),
    )  # fmt: skip
    for name in ("normal", "uniform", "coin", "walked"):
        assert len(np.unique(got[name].reshape(4, -1), axis=0)) == 4, name


@pytest.mark.parametrize("value", [0.1, 1e4, -7.7])
@pytest.mark.parametrize("length", [3, 10, 37])
def test_the_norm_of_equal_values_is_exactly_beta(value: float, length: int) -> None:
    x = np.full((3, length), value, np.float32)
    layer = answers("output y = x -> layernorm", [f"x: [{length}]"], x=x)["y"]
    np.testing.assert_array_equal(layer, 0.0)
    net = f"net n() {{ input x: [{length}]; y = x -> batchnorm; output y; loss sum(y * y) }}"
    loss, _ = graphdl.loads(net).gradients(x=x)
    assert loss == 0.0


def test_slopes_at_the_corners_are_pytorchs() -> None:
    corners = np.array([[-1.0, 0.0, 1.0]], np.float32)
    pairs = {
        "maximum(w, 0)": functional.relu,
        "maximum(0, w)": functional.relu,
        "w -> relu": functional.relu,
        "w -> elu": functional.elu,
        "w -> elu(alpha = 2.0)": lambda w: functional.elu(w, 2.0),
        "w ** 0": lambda w: w**0,
        "maximum(w, [0.0, 0.0, 0.0])": lambda w: torch.maximum(w, torch.zeros(3)),
        "maximum([0.0, 0.0, 0.0], w)": lambda w: torch.maximum(torch.zeros(3), w),
        "minimum(w, [0.0, 0.0, 0.0])": lambda w: torch.minimum(w, torch.zeros(3)),
    }
    terms = "\n".join(f"loss l{k} = sum(({text}) * x)" for k, text in enumerate(pairs))
    model = graphdl.loads(f"net n() {{\ninput x: [3]\nparam w: [3] = zeros()\n{terms}\n}}")
    model.parameters["w"] = corners[0]
    upstream = np.array([[1.0, 2.0, 3.0]], np.float32)
    for k, (text, reference) in enumerate(pairs.items()):
        w = torch.tensor(corners[0], requires_grad=True)
        (reference(w) * torch.tensor(upstream[0])).sum().backward()
        from graphdl.training.inference import gradients

        _, found = gradients(model.network, {"x": upstream}, (f"l{k}",), training=True)
        np.testing.assert_allclose(found["w"], w.grad.numpy(), rtol=1e-6, err_msg=text)


def test_a_label_that_is_tied_or_a_nan_is_not_counted_as_right() -> None:
    x = np.zeros((2, 4), np.float32)
    y = np.array([[1.0], [0.0]], np.float32)
    label = np.array([3, 3], np.int32)
    got = answers(
        "output hit = top_k(where(y > 0, x, x / y), label, k = 1)\noutput all = top_k(x / y, label, k = 4)",
        ["x: [4]", "y: [1]", "label: class(4)"], x=x, y=y, label=label,
    )  # fmt: skip
    np.testing.assert_array_equal(got["hit"], [0.0, 0.0])
    np.testing.assert_array_equal(got["all"], [1.0, 1.0])


class TestIndices:
    INPUTS = ("x: [3]", "label: int", "rows: int[2]")
    X = np.arange(6, dtype=np.float32).reshape(2, 3)

    def test_that_are_fed_are_checked_where_they_are_fed(self) -> None:
        label = np.array([1, 3], np.int32)
        assert complaint("output y = pick(x, label)", self.INPUTS, x=self.X, label=label) == (
            "E0716: the input 'label' is int: expected 0 to 2, because it is an index into 3 places, found 3 at [1]"
        )
        rows = np.array([[0, 4], [2, -1]], np.int32)
        text = "picked = scan r in reshape(rows, [2, 1]) { emit take(zeros([5, 2]), r) }\noutput y = picked\noutput x"
        found = complaint(text, self.INPUTS, x=self.X, rows=rows)
        assert "expected 0 to 4" in found
        assert "found -1 at [1, 1]" in found

    def test_that_label_a_loss_are_checked_in_training(self) -> None:
        model = graphdl.loads("net n() { input x: [3]; input label: int; loss cross_entropy(x -> linear(3), label) }")
        with pytest.raises(ModelError, match="found -1"):
            model.trainer().step(x=self.X, label=np.array([0, -1]))

    def test_that_are_computed_find_a_nan_outside(self) -> None:
        rows = np.array([[0, 4], [2, -1]], np.int32)
        got = answers(
            "output y = pick(x, rows[0] + 1)\noutput z = take(tensor([1.5, 2.5]), rows + 1)\n"
            "output k = take(tensor([1, 2]), rows + 1)",
            self.INPUTS, x=self.X, rows=rows,
        )  # fmt: skip
        np.testing.assert_array_equal(got["y"], [1.0, NAN])
        np.testing.assert_array_equal(got["z"], [[2.5, NAN], [NAN, 1.5]])
        np.testing.assert_array_equal(got["k"], [[2, -(2**31)], [-(2**31), 1]])


def test_a_net_without_parameters_predicts_without_weights(tmp_path: Path) -> None:
    file = tmp_path / "double.net"
    file.write_text("net double() { input x: [2]; output y = 2 * x }")
    np.save(tmp_path / "x.npy", np.array([[1.0, 2.0]], np.float32))
    result = CliRunner().invoke(main, ["predict", str(file), str(tmp_path / "x.npy"), "--json"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.output)[0]["y"] == [2.0, 4.0]
    file.write_text("net double() { input x: [2]; output y = x -> linear(2) }")
    result = CliRunner().invoke(main, ["predict", str(file), str(tmp_path / "x.npy")])
    assert result.exit_code == 2
    assert "needs --weights" in result.output
