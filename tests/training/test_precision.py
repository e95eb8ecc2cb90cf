"""Training with 16 bits in memory: as in float32 up to the rounding, with loss scaling that survives an overflow."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest
from nets import DIGITS

import graphdl
from graphdl.compiler import listing
from graphdl.compiler.build import build
from graphdl.compiler.precision import FORMS
from graphdl.compiler.program import Target
from graphdl.graph.elements import BFLOAT16, FLOAT16, Stored
from graphdl.model import Model, resume
from graphdl.operators.elementwise import apply
from graphdl.operators.reduction import reduce
from graphdl.operators.tensor import Tensor, feed
from graphdl.resources import resource
from graphdl.runtime.devices import all_devices, open_device
from graphdl.runtime.executor import Executor
from graphdl.runtime.opencl import Device
from graphdl.runtime.storage import refusal, rounded
from graphdl.runtime.variables import VariableStore
from graphdl.training import checkpoint, fit, scaling
from graphdl.training.loop import Observer, Status
from graphdl.training.run import METRICS

CONVOLUTIONS = """
net convolutions() {
    input image: [3, 15, 13]
    input label: class(5)
    h = image -> conv(12, 3, pad = 1) -> batchnorm -> relu -> maxpool(2) -> conv(12, 3, pad = 1, groups = 12) -> relu
        -> conv(16, 3, stride = 2) -> relu -> avgpool(2) -> flatten
    logits = h -> linear(24) -> tanh -> linear(5)
    loss cross_entropy(logits, label)
}
"""
SEQUENCES = """
net sequences() {
    input word: class(11)[7]
    input target: class(4)
    h = word -> embedding(12) -> lstm(10)
    logits = mean(h, axis = 0) -> layernorm -> linear(4)
    loss cross_entropy(logits, target)
}
"""
TOLERANCE = {"half": 0.03, "bfloat16": 0.2}
"""The norm of the difference of two gradients, by the norm of one: roundings by 2⁻¹¹ or 2⁻⁸, and pools and relus that
choose another element because of them."""


def device_with(form: Stored) -> Device:
    """The tested device if it has the form, else another one."""
    if not form.source:
        return open_device()
    tried: dict[str, str] = {}
    for selector in (None, *(str(info.index) for info in all_devices())):
        device = open_device(selector)
        why = refusal(device, form)
        if why is None:
            return device
        tried[str(device.info)] = why
    pytest.skip(f"no device has elements of {form.memory}: {tried}")


@pytest.fixture(params=["half", "bfloat16"])
def precision(request: pytest.FixtureRequest) -> str:
    device_with(FORMS[request.param])
    return str(request.param)


def model(text: str, precision: str, settings: str = "optimizer sgd(lr = 0.1)") -> Model:
    device = device_with(FORMS[precision])  # the same for float32 unless the tested one has no halves
    return graphdl.loads(
        f"{text}\ntrain {{ batch 6; precision {precision}; {settings} }}", device=str(device.info.index), seed=1
    )


def arrays(text: str) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    if text is CONVOLUTIONS:
        return {"image": rng.normal(size=(6, 3, 15, 13)).astype(np.float32), "label": rng.integers(0, 5, 6)}
    return {"word": rng.integers(0, 11, (6, 7)), "target": rng.integers(0, 4, 6)}


@pytest.mark.parametrize("target", [Target("cpu", 8, 2), Target("gpu", 4, 8)], ids=["cpu", "gpu"])
def test_an_element_is_rounded_to_nearest_and_is_the_same_everywhere(precision: str, target: Target) -> None:
    """The kernel that stores an element computes with what another kernel reads of it."""
    form = FORMS[precision]
    rng = np.random.default_rng(0)
    x = (rng.normal(size=(2, 1003)) * 2.0 ** rng.integers(-28, 17, (2, 1003))).astype(np.float32)
    x[0, :9] = x[1, :9] = [0.0, -0.0, 1e30, -1e30, 65504.0, 65519.9, 65520.0, 3e-8, 2.9e-8]
    stored: Tensor = feed("x", x.shape)
    for bound in range(8):  # enough formulas that their result is stored and not recomputed
        stored = apply("minimum", apply("maximum", stored, -1e36 - bound * 1e35), 1e36 + bound * 1e35)
    fetches = {"same": stored * 2.0, "other": reduce("max", stored, (0,), keep=True)}
    program = build(fetches, {}, target, lambda tensor: form if tensor.element == "float" else tensor.stored)
    assert [block.nbytes for block in program.arena_blocks] == [2 * x.size]
    device = device_with(form)
    executor = Executor(program, device, VariableStore(device))
    executor.run({"x": x})
    expected = rounded(form, x)
    np.testing.assert_array_equal(executor.fetch("same"), expected * 2)
    np.testing.assert_array_equal(executor.fetch("other"), expected.max(axis=0, keepdims=True))


@pytest.mark.parametrize("text", [CONVOLUTIONS, SEQUENCES], ids=["convolutions", "sequences"])
def test_gradients_are_those_of_float32_up_to_the_rounding(precision: str, text: str) -> None:
    exact, made = (model(text, each) for each in ("float32", precision))
    expected, found = (each.trainer().gradients(**arrays(text)) for each in (exact, made))
    assert float(found.report) == pytest.approx(float(expected.report), rel=TOLERANCE[precision] / 10)
    assert found.arrays.keys() == expected.arrays.keys()
    for path, gradient in expected.arrays.items():
        norm = max(float(np.linalg.norm(gradient)), 1e-3)  # that of a bias before a normalization is 0
        error = float(np.linalg.norm(found.arrays[path] - gradient)) / norm
        assert error < TOLERANCE[precision], (path, error)
    assert any((found.arrays[path] != gradient).any() for path, gradient in expected.arrays.items())
    if text is CONVOLUTIONS:  # what enters or leaves a loop keeps its form, which is most of the other net
        bytes_of = [each.compile(batch=6, training=True).arena_bytes for each in (exact, made)]
        assert bytes_of[1] < 0.75 * bytes_of[0]
        plan = listing.memory(made.compile(batch=6, training=True))
        assert sum(line.endswith(f" in {precision}") for line in plan.splitlines()) > 5


SMALL = """
net small {
    input x: [5]
    input y: class(3)
    logits = x -> linear(16) -> tanh -> batchnorm -> linear(3)
    loss cross_entropy(logits, y)
}
"""


def batch(step: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(step)
    return {"x": rng.normal(size=(6, 5)).astype(np.float32), "y": rng.integers(0, 3, 6)}


def variables(made: Model, names: tuple[str, ...]) -> dict[str, np.ndarray]:
    return {name: made.network.read(name) for name in (*made.network.variables, *names)}


@pytest.mark.parametrize("optimizer", ["adam(lr = 0.01)", "sgd(lr = 0.1, momentum = 0.9, lookahead = 3)"])
def test_a_step_that_overflows_is_skipped_as_if_it_had_not_been(optimizer: str) -> None:
    """Nothing moves but the scale, and later updates are those of a training without that step."""
    made, other = (model(SMALL, "half", f"optimizer {optimizer}") for _ in range(2))
    trainer, without = made.trainer(), other.trainer()
    made.network.write("train::scale", 2.0**24)
    before = variables(made, trainer.kept)
    skipped = 0
    while (report := trainer.step(**batch(skipped))).is_skipped:
        skipped += 1
        after = variables(made, trainer.kept)
        assert after["train::scale"] == 2.0 ** (24 - skipped) == report.scale
        assert after["train::skipped"] == skipped == report.skipped
        for name in before.keys() - {"train::scale", "train::skipped"}:
            np.testing.assert_array_equal(after[name], before[name], err_msg=name)
    assert skipped > 3
    other.network.write("train::scale", 2.0 ** (24 - skipped))
    for step in range(skipped, skipped + 30):
        if step > skipped:
            trainer.step(**batch(step))
        without.step(**batch(step))
    expected = variables(other, without.kept)
    assert made.network.read("train::skipped") == skipped + expected.pop("train::skipped")
    for name, array in expected.items():
        assert np.isfinite(array).all()
        np.testing.assert_array_equal(made.network.read(name), array, err_msg=name)


def test_the_scale_is_doubled_after_many_steps_without_overflow() -> None:
    made = model(SMALL, "half")
    trainer = made.trainer()
    made.network.write("train::good", scaling.GROWTH - 2)
    scales = [trainer.step(**batch(step)).scale for step in range(4)]
    assert scales == [scaling.START, 2 * scaling.START, 2 * scaling.START, 2 * scaling.START]


def test_the_two_halves_of_a_step_are_the_step() -> None:
    whole, apart = (model(SMALL, "half", "optimizer adam(lr = 0.01)") for _ in range(2))
    trainer, halves = whole.trainer(), apart.trainer()
    for step in range(3):
        trainer.step(**batch(step))
        found = halves.gradients(**batch(step))
        assert not found.report.is_skipped
        halves.update(found.arrays)
        halves.update({path: np.full_like(g, np.nan) for path, g in found.arrays.items()})
    for path, value in whole.parameters.items():
        np.testing.assert_allclose(apart.parameters[path], value, rtol=1e-4, atol=1e-5, err_msg=path)
    assert apart.network.read("train::skipped") == 3


OVERFLOWING = DIGITS.replace("loss cross", "loss 3e4 * cross") + (
    "train { data digits; optimizer adam(lr = 0.01); batch 128; precision half; epochs 2 }"
)


class Stop(Observer):
    """Presses Ctrl-C at a step."""

    def __init__(self, step: int) -> None:
        self.step = step

    def advance(self, status: Status) -> None:
        if status.step >= self.step:
            os.kill(os.getpid(), signal.SIGINT)


def test_a_run_that_overflows_is_trained_and_resumed(tmp_path: Path) -> None:
    device_with(FLOAT16)
    graphdl.loads(OVERFLOWING).fit(out=tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        fit.fit(graphdl.loads(OVERFLOWING), fit.TrainingOptions(), out=tmp_path / "run", observer=Stop(9))
    resume(tmp_path / "run", fit.TrainingOptions())
    found, expected = (checkpoint.load(tmp_path / name / "last.safetensors").tensors for name in ("run", "whole"))
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        assert array.dtype == np.float32
        assert np.isfinite(array).all()
        np.testing.assert_array_equal(found[name], array, err_msg=name)
    records = [json.loads(line) for line in (tmp_path / "run" / METRICS).read_text().splitlines()]
    assert records[-1]["skipped"] == expected["train::skipped"] > 0
    assert records[-1]["scale"] == expected["train::scale"] < scaling.START
    assert records[-1]["held_out"]["metrics"]["accuracy"] > 0.7
    image = np.zeros((2, 1, 8, 8), np.float32)
    assert graphdl.load(tmp_path / "run").predict(image=image)["probability"].sum() == pytest.approx(2, abs=1e-5)


def test_gradients_that_overflow_at_any_scale_are_a_fault() -> None:
    device_with(FLOAT16)
    text = SMALL.replace("loss ", "loss 1e30 * ") + "train { batch 6; precision half; steps 60 }"
    rng = np.random.default_rng(0)
    with pytest.raises(graphdl.ModelError, match="at any scale of its loss") as caught:
        graphdl.loads(text).fit(x=rng.normal(size=(60, 5)).astype(np.float32), y=rng.integers(0, 3, 60))
    assert [each.code for each in caught.value.diagnostics] == ["E0615"]


def test_a_device_without_the_form_is_refused(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    """No OpenCL has this type, so it is what a device without halves is: one whose compiler complains."""
    monkeypatch.setitem(FORMS, "half", Stored("quarter", 2, "float16", "halves.cl"))
    with pytest.raises(graphdl.DeviceError, match="cannot compute in precision half: kernel 'storage'") as caught:
        graphdl.loads(SMALL + "train { precision half }").trainer()
    assert caught.value.code == "E0804"


def test_wrong_elements_are_a_reason(device: Device) -> None:
    """Elements of the one form, read and written as those of the other."""
    crossed = Stored(FLOAT16.memory, 2, BFLOAT16.numpy, FLOAT16.source)
    assert "in place of" in str(refusal(device, crossed))


@pytest.mark.parametrize("precision", ["half", "bfloat16"])
def test_lenet_is_as_good_as_in_float32(precision: str) -> None:
    """Two epochs of MNIST: the accuracies on the test split differ by at most 0.2 points."""
    root = os.environ.get("GRAPHDL_DATA")
    if root is None:
        pytest.skip("GRAPHDL_DATA names no folder with MNIST")
    text = resource("models/vision/lenet.net").read_text("utf-8")
    device = str(device_with(FORMS[precision]).info.index)
    found = []
    for each in ("float32", precision):
        made = graphdl.loads(text.replace("train {", f"train {{ precision {each};", 1), device=device, seed=0)
        made.fit(epochs=2, data_root=root)
        found.append(made.evaluate(data_root=root).metrics["accuracy"])
    assert found[1] == pytest.approx(found[0], abs=0.002)
