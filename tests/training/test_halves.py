"""A training step in two halves, gradients and update, against the step that does both in one program."""

import numpy as np
import pytest

import graphdl

NET = """
net small {
    input x: [5]
    input y: class(3)
    logits = x -> linear(7) as a -> tanh -> linear(3) as b
    spare = x -> linear(2) as unused
    output spare
    loss cross_entropy(logits, y)
    metric accuracy(logits, y)
}
train { %s; batch 16 }
"""
SETTINGS = (
    "optimizer sgd(lr = 0.1)",
    "optimizer sgd(lr = 0.1, momentum = 0.9, weight_decay = 0.01); clip 0.2",
    "optimizer adamw(lr = 0.01, weight_decay = 0.1)",
)


def batch(step):
    random = np.random.default_rng(step)
    return {"x": random.normal(size=(16, 5)).astype(np.float32), "y": random.integers(0, 3, 16)}


def parts(arrays, count):
    size = 16 // count
    return [{name: array[k * size : (k + 1) * size] for name, array in arrays.items()} for k in range(count)]


def assert_equal(model, other):
    for path, value in model.parameters.items():
        np.testing.assert_allclose(other.parameters[path], value, rtol=2e-5, atol=2e-6, err_msg=path)


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("count", [1, 4])
def test_the_halves_apart_are_a_step(settings, count):
    """The gradients are those of the whole batch, or the mean over parts of it, as several devices would make them."""
    model, apart = graphdl.loads(NET % settings), graphdl.loads(NET % settings)
    trainer, halves = model.trainer(), apart.trainer()
    for step in range(6):
        expected = trainer.step(**batch(step))
        found = [halves.gradients(**part) for part in parts(batch(step), count)]
        sums = {path: sum(each.arrays[path] for each in found) / count for path in found[0].arrays}
        halves.update(sums)
        assert np.mean([float(each.report) for each in found]) == pytest.approx(float(expected), rel=1e-5)
        accuracy = np.mean([each.report.metrics["accuracy"] for each in found])
        assert accuracy == pytest.approx(expected.metrics["accuracy"], rel=1e-5)
    assert halves.steps == trainer.steps == 6
    assert_equal(model, apart)
    for name in trainer.kept:
        expected = model.network.read(name)
        np.testing.assert_allclose(apart.network.read(name), expected, rtol=5e-5, atol=1e-6, err_msg=name)


def test_several_replicas_stay_equal():
    """As a trainer for several devices would do it: each takes a part of the batch, all take the sum."""
    whole = graphdl.loads(NET % SETTINGS[2])
    replicas = [graphdl.loads(NET % SETTINGS[2]) for _ in range(2)]
    trainer, trainers = whole.trainer(), [replica.trainer() for replica in replicas]
    for step in range(4):
        trainer.step(**batch(step))
        shares = parts(batch(step), 2)
        found = [each.gradients(**share) for each, share in zip(trainers, shares, strict=True)]
        mean = {path: (found[0].arrays[path] + found[1].arrays[path]) / 2 for path in found[0].arrays}
        for each in trainers:
            each.update(mean)
    for path, value in replicas[0].parameters.items():
        np.testing.assert_array_equal(replicas[1].parameters[path], value)
    assert_equal(whole, replicas[0])


def test_gradients_alone_move_nothing_and_name_what_the_loss_reaches():
    model = graphdl.loads(NET % SETTINGS[0])
    before = dict(model.parameters)
    trainer = model.trainer()
    found = trainer.gradients(**batch(0))
    assert found.arrays.keys() == {"a.W", "a.b", "b.W", "b.b"}
    assert trainer.steps == 0
    for path, value in before.items():
        np.testing.assert_array_equal(model.parameters[path], value)
    loss, gradients = model.gradients(**batch(0))
    assert float(found.report) == pytest.approx(loss, rel=1e-6)
    for path, gradient in found.arrays.items():
        np.testing.assert_allclose(gradient, gradients[path], rtol=1e-5, atol=1e-7)


def test_an_update_wants_every_gradient_and_no_other():
    model = graphdl.loads(NET % SETTINGS[0])
    trainer = model.trainer()
    arrays = trainer.gradients(**batch(0)).arrays
    with pytest.raises(ValueError, match=r"'gradient unused\.W' is unknown"):
        trainer.update({**arrays, "unused.W": np.zeros((5, 2))})
    with pytest.raises(ValueError, match=r"'gradient a\.W' is missing"):
        trainer.update({path: array for path, array in arrays.items() if path != "a.W"})
    with pytest.raises(ValueError, match="has shape"):
        trainer.update({**arrays, "a.b": np.zeros(3)})
    assert trainer.steps == 0
