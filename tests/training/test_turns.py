"""Turns: parts of a stage that alternate, each with an optimizer of its own."""

import os
import signal

import numpy as np
import pytest
import torch

import graphdl
from graphdl.diagnostics import ModelError
from graphdl.language import Source, check
from graphdl.model import resume
from graphdl.training import checkpoint, fit
from graphdl.training.loop import Observer
from graphdl.training.stages import described

DUEL = """
net duel() {
    input x: [3]
    input z: [2]
    critic = linear(1)
    fake = z -> linear(3) as maker
    judged = sum(fake -> critic)
    loss critic_loss = softplus(-sum(x -> critic)) + softplus(judged)
    loss maker_loss = softplus(-judged)
}
train {
    data npz("data.npz")
    batch 4
    epochs 3
    optimizer adam(lr = 0.05)
    schedule linear
    turn critic {
        minimize critic_loss
        only critic.*
        steps 2
    }
    turn maker {
        minimize maker_loss
        only maker.*
        optimizer sgd(lr = 0.1, momentum = 0.9)
    }
}
"""
RNG = np.random.default_rng(3)
X, Z = RNG.normal(size=(20, 3)).astype(np.float32), RNG.normal(size=(20, 2)).astype(np.float32)


def test_each_turn_steps_as_an_optimizer_of_pytorch_does():
    model = graphdl.loads(DUEL.replace("    schedule linear\n", ""))
    trainer = model.trainer()
    weights = {path: torch.tensor(value, requires_grad=True) for path, value in model.parameters.items()}
    critic = torch.optim.Adam([weights["critic.W"], weights["critic.b"]], lr=0.05)
    maker = torch.optim.SGD([weights["maker.W"], weights["maker.b"]], lr=0.1, momentum=0.9)
    softplus = torch.nn.functional.softplus
    for step in range(7):
        batch = [torch.tensor(each[4 * (step % 5) : 4 * (step % 5) + 4]) for each in (X, Z)]
        assert trainer.turn.name == ("train.critic", "train.critic", "train.maker")[step % 3]
        report = trainer.step(x=batch[0].numpy(), z=batch[1].numpy())
        judged = (batch[1] @ weights["maker.W"] + weights["maker.b"]) @ weights["critic.W"] + weights["critic.b"]
        real = batch[0] @ weights["critic.W"] + weights["critic.b"]
        losses = (softplus(-real) + softplus(judged)).mean(), softplus(-judged).mean()
        which = 1 if step % 3 == 2 else 0
        assert float(report) == pytest.approx(losses[which].item(), abs=1e-5)
        assert list(report.losses.values()) == pytest.approx([each.item() for each in losses], abs=1e-5)
        for value in weights.values():
            value.grad = None
        losses[which].backward()
        (critic, maker)[which].step()
    for path, value in weights.items():
        np.testing.assert_allclose(model.parameters[path], value.detach(), atol=2e-6, err_msg=path)


class StopAt(Observer):
    def __init__(self, step):
        self.step = step

    def advance(self, status):
        if status.step == self.step:
            os.kill(os.getpid(), signal.SIGINT)


def test_a_run_that_stops_in_the_middle_of_a_turn_goes_on_to_the_same_weights(tmp_path):
    np.savez(tmp_path / "data.npz", train_x=X, train_z=Z, test_x=X[:3], test_z=Z[:3])
    (tmp_path / "duel.net").write_text(DUEL.replace("steps 2", "steps 3; average 0.5"))
    model = graphdl.load(tmp_path / "duel.net")
    run = model.fit(out=tmp_path / "whole")
    assert [epoch["step"] for epoch in run.epochs] == [5, 10, 15]
    assert run.epochs[0]["held_out"]["losses"].keys() == {"critic_loss", "maker_loss"}
    with pytest.raises(KeyboardInterrupt):
        fit.fit(graphdl.load(tmp_path / "duel.net"), fit.TrainingOptions(), out=tmp_path / "run", observer=StopAt(5))
    found = checkpoint.load(tmp_path / "run" / "last.safetensors")
    assert found.metadata["position"]["step"] % 4 != 0  # three steps of the critic and one of the maker
    resume(tmp_path / "run", fit.TrainingOptions())
    for name in ("last", "best"):
        expected = checkpoint.load(tmp_path / "whole" / f"{name}.safetensors").tensors
        found = checkpoint.load(tmp_path / "run" / f"{name}.safetensors").tensors
        assert found.keys() == expected.keys()
        assert all(np.array_equal(found[path], expected[path]) for path in expected)
    assert {
        "train.critic:critic.W:moving average",
        "train.maker:maker.W:momentum",
    } <= expected.keys() | checkpoint.load(tmp_path / "whole" / "last.safetensors").tensors.keys()
    # the averages of the critic are its weights in the end, and what was measured last is what the model measures now
    last = checkpoint.load(tmp_path / "whole" / "last.safetensors").tensors
    np.testing.assert_array_equal(model.parameters["critic.W"], last["train.critic:critic.W:moving average"])
    assert not np.array_equal(model.parameters["critic.W"], last["critic.W"])
    assert model.evaluate().losses == pytest.approx(run.epochs[-1]["held_out"]["losses"], rel=1e-6)


def test_a_turn_can_be_trained_alone_from_python():
    model = graphdl.loads(DUEL)
    before = dict(model.parameters)
    trainer = model.trainer(stage="train.maker")
    for _ in range(2):
        assert trainer.stage.updates_before(trainer.steps) == trainer.steps
        trainer.step(z=Z[:4], x=X[:4])
    assert {path for path in before if not np.array_equal(before[path], model.parameters[path])} == {
        "maker.W", "maker.b",
    }  # fmt: skip


def test_what_a_stage_with_turns_says():
    (stage,) = graphdl.loads(DUEL).stages()
    assert [(turn.name, turn.begin, turn.in_a_row, turn.period) for turn in stage.turns] == [
        ("train.critic", 0, 2, 3), ("train.maker", 2, 1, 3),
    ]  # fmt: skip
    assert [stage.turn_of(step) for step in range(6)] == [0, 0, 1, 0, 0, 1]
    assert [turn.updates_before(step) for turn in stage.turns for step in (0, 1, 2, 3, 5)] == [
        0, 1, 2, 2, 4, 0, 0, 0, 1, 1,
    ]  # fmt: skip
    assert stage.minimize == ("critic_loss", "maker_loss")
    found = described(stage)
    assert (found["data"], found["batch"], found["epochs"]) == ('npz("data.npz")', 4, 3)
    assert "optimizer" not in found
    assert [(turn["name"], turn["steps"], turn["optimizer"]["name"], turn["only"]) for turn in found["turns"]] == [
        ("train.critic", 2, "adam", ["critic.*"]), ("train.maker", 1, "sgd", ["maker.*"]),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("written", "code"),
    [
        ("turn a { batch 3 }", "E0601"),
        ("turn a { steps 0 }", "E0606"),
        ("turn a { steps 1 }; turn a { steps 2 }", "E0602"),
        ("turn { steps 1 }", "E0107"),
        ("turn a { only z.* }", "E0604"),
        ("turn a { optimizer nadam }", "E0611"),
    ],
)
def test_what_is_wrong_is_said(written, code):
    with pytest.raises(ModelError) as raised:
        graphdl.loads(DUEL.partition("train {")[0] + f"train {{ {written} }}").stages()
    assert {diagnostic.code for diagnostic in raised.value.diagnostics} == {code}


def test_what_no_turn_trains_is_named():
    assert check(Source("duel.net", DUEL)) == []
    (warning,) = check(Source("duel.net", DUEL.replace("only critic.*", "only critic.W")))
    assert (warning.code, warning.message) == ("W0504", "no stage trains the parameter critic.b")
