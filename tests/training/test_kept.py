"""What an optimizer keeps: variables with shapes and initial values, in the step, in checkpoints and on devices."""

import os
import signal
from dataclasses import dataclass

import numpy as np
import pytest
from nets import DIGITS

import graphdl
from graphdl.model import resume
from graphdl.operators.elementwise import apply
from graphdl.training import checkpoint, fit
from graphdl.training.loop import Observer
from graphdl.training.optimizers import OPTIMIZERS, Optimizer
from graphdl.training.optimizers.optimizer import Kept


@dataclass(frozen=True)
class Averaged(Optimizer):
    """Gradient descent with a count of its steps, a scale that doubles every second step, and an average of the
    weights that starts from them."""

    lr: float
    keep: float

    def variables(self, parameters):
        averages = {f"{path}:average": Kept(shape, path) for path, shape in parameters.items()}
        return {":count": Kept(()), ":scale": Kept((), 1024.0), **averages}

    def scalars(self, step, rate):
        return [rate]

    def update(self, parameters, gradients, kept, scalars):
        count = kept[":count"] + 1.0
        even = apply("equal", apply("remainder", count, 2.0), 0.0)
        following = {":count": count, ":scale": apply("where", even, kept[":scale"] * 2.0, kept[":scale"])}
        for path, parameter in parameters.items():
            following[path] = parameter - gradients[path] * scalars[0]
            average = kept[f"{path}:average"]
            following[f"{path}:average"] = average * self.keep + following[path] * (1 - self.keep)
        return following


def averaged(call, lr: float = 0.1, keep: float = 0.75):
    return Averaged(lr, keep)


@pytest.fixture(autouse=True)
def _known(monkeypatch):
    monkeypatch.setitem(OPTIMIZERS, "averaged", averaged)


NET = """
net line {
    input x: [3]
    loss mean((x -> linear(2) as fit) ** 2)
}
train { optimizer averaged(lr = 0.1); batch 4 }
"""


def test_variables_of_any_shape_and_initial_value():
    model = graphdl.loads(NET)
    trainer = model.trainer()
    expected = model.parameters["fit.W"]
    np.testing.assert_array_equal(model.network.read("train:fit.W:average"), expected)
    assert model.network.read("train::count") == 0
    assert model.network.read("train::scale") == 1024
    for step in range(5):
        trainer.step(x=np.random.default_rng(step).normal(size=(4, 3)).astype(np.float32))
        expected = expected * 0.75 + model.parameters["fit.W"] * 0.25
        np.testing.assert_allclose(model.network.read("train:fit.W:average"), expected, rtol=1e-5)
    assert model.network.read("train::count") == 5
    assert model.network.read("train::scale") == 4096


def test_a_new_trainer_begins_anew():
    model = graphdl.loads(NET)
    x = np.ones((4, 3), np.float32)
    for _ in range(2):
        trainer = model.trainer()
        np.testing.assert_array_equal(model.network.read("train:fit.W:average"), model.parameters["fit.W"])
        for _ in range(3):
            trainer.step(x=x)
        assert model.network.read("train::count") == 3


def test_a_stage_that_ends_gives_its_memory_back():
    model = graphdl.loads(NET)
    trainer = model.trainer()
    trainer.step(x=np.ones((4, 3), np.float32))
    trainer.release()
    assert set(model.network.store) == {"fit.W", "fit.b"}
    again = model.trainer()
    again.step(x=np.ones((4, 3), np.float32))
    assert model.network.read("train::count") == 1


class Stop(Observer):
    def advance(self, status):
        if status.step == 30:
            os.kill(os.getpid(), signal.SIGINT)


def test_checkpoints_hold_them(tmp_path):
    text = DIGITS + "train { data digits; optimizer averaged; batch 64; epochs 2 }"
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    graphdl.loads(text).fit(out=whole)
    with pytest.raises(KeyboardInterrupt):
        fit.fit(graphdl.loads(text), fit.TrainingOptions(), out=stopped, observer=Stop())
    resume(stopped, fit.TrainingOptions())
    found, expected = (checkpoint.load(folder / "last.safetensors").tensors for folder in (stopped, whole))
    assert expected["train::count"] == 44
    assert "train:logits.linear.W:average" in expected
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)


def test_a_kept_number_that_is_not_finite_is_told(tmp_path):
    text = DIGITS + "train { data digits; optimizer averaged(keep = 1e38, lr = 1e-9); batch 64; epochs 1 }"
    with pytest.raises(graphdl.ModelError, match=r"what the optimizer keeps of '[\w.]+' \(average\)") as caught:
        graphdl.loads(text).fit(out=tmp_path / "run")
    assert caught.value.diagnostics[0].code == "E0615"


def test_the_names_in_checkpoints_are_those_of_before(tmp_path):
    """A run that an earlier version began goes on only if its names are found again."""
    text = NET.partition("train")[0] + "train warm { data table(x = [[1, 2, 3]]); optimizer %s; batch 1; epochs 1 }"
    for optimizer, words in (("sgd(momentum = 0.9)", {"momentum"}), ("adam", {"mean", "square"}), ("sgd", set())):
        folder = tmp_path / optimizer
        graphdl.loads(text % optimizer).fit(out=folder)
        names = set(checkpoint.load(folder / "last.safetensors").tensors)
        assert {name for name in names if name.startswith("warm:fit.W")} == {f"warm:fit.W:{word}" for word in words}
