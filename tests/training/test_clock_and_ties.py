"""The clock of training as a value, tied weights, lists of states and casts: numbers against NumPy and PyTorch."""

import numpy as np
import torch

import graphdl

RNG = np.random.default_rng(2)
X = RNG.normal(size=(4, 5)).astype(np.float32)


def test_epoch_and_step_are_values_in_training():
    model = graphdl.loads(
        """net n() {
            input x: [5]
            param w: [5] = ones()
            error = mean((x * w) ** 2)
            if training {
                loss late = error * minimum(training.epoch / 2, 1) + 0 * training.step
                metric seen = float(training.step)
                metric inside = sum(scan v in x { emit v * 0 + training.epoch })
            } else {
                loss late = error
            }
        }
        train { optimizer sgd(lr = 0.0); batch 4 }"""
    )
    trainer = model.trainer(steps_per_epoch=4)
    error = float(np.mean(X**2))
    for step in range(10):
        report = trainer.step(x=X)
        np.testing.assert_allclose(float(report), error * min(step / 8, 1), rtol=1e-5)
        np.testing.assert_allclose(report.metrics["seen"], step)
        np.testing.assert_allclose(report.metrics["inside"], 5 * step / 4, rtol=1e-6)
    assert model.gradients(x=X)[0] == 0.0  # as at the start of training
    np.testing.assert_allclose(model.gradients(x=X, training=False)[0], error, rtol=1e-5)


def test_tied_weights_gather_the_gradients_of_both_uses():
    model = graphdl.loads(
        """net n() {
            input x: [5]
            up = linear(3)
            code = tanh(x -> up)
            loss rebuilt = mean((code @ transpose(up.W) - x) ** 2)
        }"""
    )
    assert list(model.parameters) == ["up.W", "up.b"]
    w, b = (torch.tensor(value, requires_grad=True) for value in model.parameters.values())
    x = torch.tensor(X)
    loss = ((torch.tanh(x @ w + b) @ w.T - x) ** 2).mean()
    loss.backward()
    found, gradients = model.gradients(x=X)
    np.testing.assert_allclose(found, loss.item(), rtol=1e-5)
    np.testing.assert_allclose(gradients["up.W"], w.grad, atol=1e-6)
    np.testing.assert_allclose(gradients["up.b"], b.grad, atol=1e-6)


def test_lists_of_states_casts_and_dots():
    model = graphdl.loads(
        """net n(depth = 2) {
            input s: [6, 3]
            input k: int
            cells = linear(3)
            hs, = 0, 0
            last, states = scan v in s, hs = [zeros([3]) for _k in 0..depth] {
                h = v
                next = []
                for d in 0..depth {
                    h = tanh((h -> cells) + hs[d])
                    next = next + [h]
                }
                hs = next
                emit h
            }
            output last
            output first = states[0]
            output column = s[.., 1]
            output row = one_hot(class(k, 4))
        }""".replace("            hs, = 0, 0\n", "")
    )
    s = RNG.normal(size=(2, 6, 3)).astype(np.float32)
    found = model.predict(s=s, k=[9, -3])
    w, b = model.parameters["cells.W"], model.parameters["cells.b"]
    hs = [np.zeros((2, 3)), np.zeros((2, 3))]
    last = []
    for t in range(6):
        h = s[:, t]
        for d in range(2):
            h = hs[d] = np.tanh(h @ w + b + hs[d])
        last.append(h)
    np.testing.assert_allclose(found["last"], np.stack(last, 1), atol=1e-5)
    np.testing.assert_allclose(found["first"], hs[0], atol=1e-5)
    np.testing.assert_array_equal(found["column"], s[..., 1])
    np.testing.assert_array_equal(found["row"], np.eye(4)[[3, 0]])
