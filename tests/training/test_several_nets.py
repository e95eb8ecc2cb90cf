"""Files with several nets, losses of blocks, and arguments of train sections from outside."""

import numpy as np
import pytest

import graphdl
from graphdl.diagnostics import ModelError
from graphdl.language import Source, check

WORDS = """
let rate = 0.1
net words(units = 3) {
    input x: [4]
    input label: class(3)
    logits = x -> linear(units) as readout
    loss cross_entropy(logits, label)
}
net other() {
    input x: [4]
    loss size = mean(x -> linear(2))
}
net sample(units = 3) {
    input x: [4]
    output best = argmax(x -> linear(units) as readout)
}
train other for other { batch 7 }
train for words {
    optimizer sgd(rate, momentum = 0.5)
    schedule step(every = 2)
    batch 3
    turn first { steps 2 }
    turn second { optimizer adam(lr = 0.3) }
}
train last for words { batch 3 }
"""
X = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)


def test_a_section_trains_the_net_that_it_names():
    assert check(Source("a.net", WORDS)) == []
    assert [(stage.name, stage.batch) for stage in graphdl.loads(WORDS, net="words").stages()] == [
        ("train", 3), ("last", 3),
    ]  # fmt: skip
    assert graphdl.loads(WORDS).name == "other"
    assert graphdl.loads(WORDS.replace("train other for other", "train other for words")).name == "words"
    sample = graphdl.loads(WORDS, net="sample")
    assert sample.network.inference.stages == []
    with pytest.raises(ModelError, match="E0608"):
        sample.trainer()


PAIR = """
net trained(units = 3, more = 2) {
    input x: [4]
    code = x -> linear(units) as encoder
    loss rebuilt = mse(code -> linear(4) as decoder, x)
}
net decode(units = 3) {
    input code: [units]
    output best = argmax(code -> linear(4) as decoder)
}
train for trained { data npz("data.npz"); epochs 1; batch 2 }
"""


def test_a_net_without_a_loss_takes_the_weights_of_the_trained_one(tmp_path):
    np.savez(tmp_path / "data.npz", train_x=X, test_x=X)
    (tmp_path / "pair.net").write_text(PAIR)
    trained = graphdl.load(tmp_path / "pair.net", units=2, **{"optimizer.lr": 0.1, "more": 3})
    trained.fit(out=tmp_path / "run")
    decode = graphdl.load(tmp_path / "run", net="decode")
    assert list(decode.parameters) == ["decoder.W", "decoder.b"]
    code = X[:, :2]
    expected = np.argmax(code @ trained.parameters["decoder.W"] + trained.parameters["decoder.b"], axis=1)
    np.testing.assert_array_equal(decode.predict(code=code)["best"], expected)
    with pytest.raises(ModelError, match="E0214"):
        graphdl.load(tmp_path / "run", net="decoder")
    with pytest.raises(ModelError, match="E0617"):  # weights given by hand are those of the net alone
        graphdl.loads(PAIR, net="decode", units=2).load_weights(tmp_path / "run" / "last.safetensors")


@pytest.mark.parametrize(
    ("given", "rates"),
    [
        ({}, (0.1, 0.3, 0.001)),
        ({"rate": 0.2}, (0.2, 0.3, 0.001)),
        ({"optimizer.lr": "0.5"}, (0.5, 0.5, 0.5)),
        ({"train.optimizer.lr": 0.5}, (0.5, 0.5, 0.001)),
        ({"second.optimizer.lr": 0.5}, (0.1, 0.5, 0.001)),
        ({"train.first.optimizer.lr": 0.5}, (0.5, 0.3, 0.001)),
        ({"last.optimizer.lr": 0.5, "last.schedule.warmup": 2}, (0.1, 0.3, 0.5)),
    ],
)
def test_arguments_of_a_section_are_set_from_outside(given, rates):
    train, last = graphdl.loads(WORDS, net="words", **given).stages()
    assert (train.turns[0].optimizer.lr, train.turns[1].optimizer.lr, last.optimizer.lr) == rates
    assert train.turns[0].optimizer.momentum == 0.5
    assert last.schedule.rate(0, 10, 100) == (0.5 / 20 if "last.schedule.warmup" in given else last.optimizer.lr)


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"optimzer.lr": 1}, "E0213"),
        ({"lst.optimizer.lr": 1}, "E0213"),
        ({"data.file": "a.csv"}, "E0213"),
        ({"optimizer.momentm": 1}, "E0612"),
        ({"schedule.every": "often"}, "E0613"),
    ],
)
def test_what_is_wrong_is_said(given, code):
    with pytest.raises(ModelError) as raised:
        graphdl.loads(WORDS, net="words", **given).stages()
    assert code in {diagnostic.code for diagnostic in raised.value.diagnostics}


MACHINES = """
block machine(units): v: [n] -> code: [units] {
    param W: [n, units] = normal(0, 0.5)
    code = tanh(v @ W)
    loss rebuilt = mean((code @ transpose(W) - v) ** 2)
    metric size = mean(abs(code))
}
net stack() {
    input x: [4]
    low = x -> machine(3) as m1
    output code = low -> machine(2) as m2
}
train { minimize m1.rebuilt; only m1.*; optimizer sgd(lr = 0.1); best min(m2.size) }
train second { minimize m2.rebuilt, m1.rebuilt; only m2.*; optimizer sgd(lr = 0.1) }
"""


def test_stages_minimize_losses_of_blocks():
    model = graphdl.loads(MACHINES)
    for stage in (0, 1):
        before = dict(model.parameters)
        trainer = model.trainer(stage=stage)
        report = trainer.step(x=X)
        expected = ["m1.rebuilt", "m2.rebuilt"][: stage + 1]
        assert float(report) == pytest.approx(sum(report.losses[name] for name in expected), abs=1e-6)
        changed = [path for path in before if not np.array_equal(before[path], model.parameters[path])]
        assert changed == [("m1.W", "m2.W")[stage]]
    assert list(report.metrics) == ["m1.size", "m2.size"]
