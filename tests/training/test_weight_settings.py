"""Settings of a stage about its weights: rates, limits of norms, moving averages, starts, the choice of the best."""

import os
import signal

import numpy as np
import pytest
import torch

import graphdl
from graphdl.diagnostics import ModelError
from graphdl.model import resume
from graphdl.training import checkpoint, fit
from graphdl.training.loop import Observer

NET = """
net small(units = 7) {
    input x: [5]
    input y: class(3)
    h = x -> linear(units) as a -> tanh
    logits = h -> linear(3) as b
    back = h -> linear(5) as c
    loss classify = cross_entropy(logits, y)
    metric spread = mean(abs(logits))
    loss rebuild = mse(back, x)
}
"""
RNG = np.random.default_rng(5)
X, Y = RNG.normal(size=(12, 5)).astype(np.float32), RNG.integers(0, 3, 12)


def test_rates_limits_and_averages_are_those_of_pytorch():
    model = graphdl.loads(
        NET
        + """train {
            minimize classify
            optimizer adam(lr = 0.1)
            rate a.* = 0.1
            rate b.*, a.b = 2
            rate b.b = 0
            max_norm *.W = 0.5
            max_norm b.W = 0.8
            average 0.75
        }"""
    )
    trainer = model.trainer(batch=12)
    before = dict(model.parameters)
    weights = {path: torch.tensor(value, requires_grad=True) for path, value in before.items() if path[0] != "c"}
    groups = {0.01: ["a.W"], 0.2: ["b.W", "a.b"]}
    twin = torch.optim.Adam([{"params": [weights[p] for p in paths], "lr": lr} for lr, paths in groups.items()])
    averages = {path: value.detach().clone() for path, value in weights.items()}
    for _ in range(4):
        trainer.step(x=X, y=Y)
        hidden = torch.tanh(torch.tensor(X) @ weights["a.W"] + weights["a.b"])
        loss = torch.nn.functional.cross_entropy(hidden @ weights["b.W"] + weights["b.b"], torch.tensor(Y))
        twin.zero_grad()
        loss.backward()
        twin.step()
        with torch.no_grad():
            for path, most in (("a.W", 0.5), ("b.W", 0.8)):
                weights[path] *= (most / weights[path].norm(dim=0)).clamp(max=1)
            for path, value in weights.items():
                averages[path] = 0.75 * averages[path] + 0.25 * value
    for path, value in weights.items():
        np.testing.assert_allclose(model.parameters[path], value.detach(), atol=2e-6, err_msg=path)
    norms = np.linalg.norm(model.parameters["b.W"], axis=0)
    assert norms.max() == pytest.approx(0.8, abs=1e-6)
    for path in ("b.b", "c.W", "c.b"):
        np.testing.assert_array_equal(model.parameters[path], before[path])
    now = model.parameters["a.W"]
    with trainer.averaged():
        for path in ("a.W", "a.b", "b.W"):
            np.testing.assert_allclose(model.parameters[path], averages[path], atol=2e-6, err_msg=path)
    np.testing.assert_array_equal(model.parameters["a.W"], now)


def test_filters_are_limited_one_by_one():
    model = graphdl.loads(
        """net n() {
            input x: [2, 4, 4]
            loss total = mean(x -> conv(3, 3) as c)
        }
        train { optimizer sgd(lr = 0.5); max_norm * = 0.5 }"""
    )
    x = RNG.normal(size=(2, 2, 4, 4)).astype(np.float32)
    expected = model.parameters["c.W"] - 0.5 * model.gradients(x=x)[1]["c.W"]
    model.trainer(batch=2).step(x=x)
    norms = np.sqrt((expected**2).sum(axis=(1, 2, 3), keepdims=True))
    np.testing.assert_allclose(model.parameters["c.W"], expected * np.minimum(0.5 / norms, 1), atol=1e-6)
    assert (norms > 0.5).any()


STARTS = """
block layer(units): x: [n] -> y: [units] {
    param W: [n, units] = normal(0, 1)
    state seen: [units] = zeros()
    y = x @ W
    if training {
        update seen = seen + batch_mean(y, axis = [])
    }
}
net pair() {
    input x: [5]
    code = x -> layer(4) as online -> tanh
    later = x -> layer(4) as target
    output rebuilt = code -> linear(5) as down
    loss rebuild = mse(rebuilt, x)
    loss follow = mse(later, code)
}
train first { minimize follow; only online.*; optimizer sgd(lr = 0.1); epochs 1; batch 4 }
train second {
    start down.W = transpose(online.W)
    start target = online
    optimizer sgd(lr = 0.1); epochs 1; batch 4
}
train third { start target.W = online.W; start online.W = target.W; epochs 1; batch 4 }
"""


def test_a_stage_starts_from_the_weights_of_another():
    model = graphdl.loads(STARTS)
    model.trainer(stage="first").step(x=X[:4])
    before = {**model.parameters, **model.states}
    assert not np.array_equal(before["target.W"], before["online.W"])
    model.trainer(stage="second")
    np.testing.assert_array_equal(model.parameters["down.W"], before["online.W"].T)
    np.testing.assert_array_equal(model.parameters["target.W"], before["online.W"])
    np.testing.assert_array_equal(model.states["target.seen"], before["online.seen"])
    assert np.any(before["online.seen"])
    np.testing.assert_array_equal(model.parameters["down.b"], before["down.b"])


def test_weights_that_start_from_each_other_are_exchanged():
    model = graphdl.loads(STARTS)
    before = dict(model.parameters)
    model.trainer(stage="third")
    np.testing.assert_array_equal(model.parameters["target.W"], before["online.W"])
    np.testing.assert_array_equal(model.parameters["online.W"], before["target.W"])


class StopAt(Observer):
    def __init__(self, stage, step):
        self.place = stage, step

    def advance(self, status):
        if (status.stage.name, status.step) == self.place:
            os.kill(os.getpid(), signal.SIGINT)


def write_data(folder):
    np.savez(folder / "data.npz", train_x=X[:8], train_y=Y[:8], test_x=X[8:], test_y=Y[8:])


TWO = (
    NET
    + """
train first {
    data npz("data.npz")
    optimizer adam(lr = 0.05); average 0.9; best max(spread); batch 2; epochs 3
}
train second {
    data npz("data.npz")
    start b.W = c.W[:, :3]
    optimizer sgd(lr = 0.05, momentum = 0.9); average 0.5; rate a.* = 0.5; batch 2; epochs 2
}
""".replace("    start b.W = c.W[:, :3]\n", "    start c.b = a.b\n")
).replace("units = 7", "units = 5")


def test_a_run_with_averages_resumes_bit_for_bit_and_ends_with_them(tmp_path):
    write_data(tmp_path)
    (tmp_path / "two.net").write_text(TWO)
    model = graphdl.load(tmp_path / "two.net")
    run = model.fit(out=tmp_path / "whole")
    for stage, step in (("first", 5), ("second", 1), ("second", 6)):
        folder = tmp_path / f"{stage}{step}"
        with pytest.raises(KeyboardInterrupt):
            fit.fit(graphdl.load(tmp_path / "two.net"), fit.TrainingOptions(), out=folder, observer=StopAt(stage, step))
        resume(folder, fit.TrainingOptions())
        for name in ("last", "best"):
            expected = checkpoint.load(tmp_path / "whole" / f"{name}.safetensors").tensors
            found = checkpoint.load(folder / f"{name}.safetensors").tensors
            assert found.keys() == expected.keys()
            assert all(np.array_equal(found[path], expected[path]) for path in expected)
    last = checkpoint.load(tmp_path / "whole" / "last.safetensors").tensors
    for path, value in model.parameters.items():  # the averages are the weights of the trained model
        np.testing.assert_array_equal(value, last[f"second:{path}:moving average"])
        assert not np.array_equal(value, last[path])
    # what was measured last is what the model measures now
    held_out = run.epochs[-1]["held_out"]
    assert model.evaluate().metrics["spread"] == pytest.approx(held_out["metrics"]["spread"], rel=1e-6)
    best = [epoch for epoch in run.epochs if epoch["best"]][-1]["held_out"]
    model.load_weights(tmp_path / "whole" / "best.safetensors")
    assert model.evaluate().metrics["spread"] == pytest.approx(best["metrics"]["spread"], rel=1e-6)


def test_the_best_weights_are_those_that_the_file_names(tmp_path):
    write_data(tmp_path)
    bests = {}
    for choice in ("", "best max(spread)", "best min(spread)"):
        (tmp_path / "one.net").write_text(
            NET + f'train {{ data npz("data.npz"); optimizer sgd(lr = 0.3); batch 2; epochs 4; {choice} }}'
        )
        epochs = graphdl.load(tmp_path / "one.net").fit().epochs
        spreads = [epoch["held_out"]["metrics"]["spread"] for epoch in epochs]
        losses = [epoch["held_out"]["loss"] for epoch in epochs]
        bests[choice] = [epoch["best"] for epoch in epochs]
        values = {"": [-each for each in losses], "best max(spread)": spreads}.get(choice, [-each for each in spreads])
        assert bests[choice] == [value == max(values[: k + 1]) for k, value in enumerate(values)]
    assert bests["best max(spread)"] != bests["best min(spread)"]


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("rate a.* 0.1", "E0107"),
        ("rate z.* = 0.1", "E0604"),
        ("rate a.* = -1", "E0606"),
        ("rate a", "E0107"),
        ("only a.* = 0.1", "E0107"),
        ("max_norm a.b = 1", "E0604"),
        ("max_norm *.W = 0", "E0606"),
        ("average 1", "E0606"),
        ("best spread", "E0606"),
        ("best max(spred)", "E0603"),
        ("best low(spread)", "E0606"),
        ("start a.W = b.W", "E0609"),
        ("start a.W = transpose(b.b)", "E0609"),
        ("start a = b", "E0609"),
        ("start a = b.W", "E0609"),
        ("start q = b", "E0604"),
        ("start a.W = 3", "E0606"),
        ("start a.b = a.b; start a.b = a.b", "E0602"),
    ],
)
def test_what_is_wrong_is_said(line, code):
    with pytest.raises(ModelError) as raised:
        graphdl.loads(NET + f"train {{ {line} }}")
    assert {diagnostic.code for diagnostic in raised.value.diagnostics} == {code}
