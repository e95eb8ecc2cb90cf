"""The losses of the library beside PyTorch's: one number an example, and its gradients."""

import numpy as np
import pytest
import torch
from layer_twins import TOLERANCE, compare, net, tensors
from torch.nn import functional as f

import graphdl

WEIGHTS = [0.5, 2.0, 1.0, 0.25]
PER_POSITION = {"reduction": "none"}


def entropy(x, label, **settings):
    """The mean over positions. Classes are the last dimension, positions the one before it."""
    return f.cross_entropy(x.transpose(1, 2), label, **PER_POSITION, **settings)


def counted(x, label):
    """The mean over the positions whose label is not 2; none in the first example."""
    kept = (label != 2).float()
    losses = entropy(x, label, ignore_index=2, label_smoothing=0.1, weight=torch.tensor(WEIGHTS))
    return losses.sum(1) / kept.sum(1).clamp(min=1)


TWINS = {
    "smoothed": (
        "cross_entropy(g, label, smoothing = 0.1)",
        lambda g, z, label: entropy(g, label, label_smoothing=0.1).mean(1),
    ),
    "weighted": (
        f"cross_entropy(g, label, weights = {WEIGHTS})",
        lambda g, z, label: entropy(g, label, weight=torch.tensor(WEIGHTS)).mean(1),
    ),
    "ignoring": (
        f"cross_entropy(g, label, smoothing = 0.1, weights = {WEIGHTS}, ignore = 2)",
        lambda g, z, label: counted(g, label),
    ),
    "binary": (
        "weighted_binary_cross_entropy(g, sigmoid(z), 3.0)",
        lambda g, z, label: f.binary_cross_entropy_with_logits(
            g, z.sigmoid(), pos_weight=torch.tensor(3.0), **PER_POSITION
        ).mean((1, 2)),
    ),
    "of_probabilities": (
        "binary_cross_entropy_of_probabilities(sigmoid(g), sigmoid(z))",
        lambda g, z, label: f.binary_cross_entropy(g.sigmoid(), z.sigmoid(), **PER_POSITION).mean((1, 2)),
    ),
    "bent": (
        "smooth_l1(g, z, beta = 0.7)",
        lambda g, z, label: f.smooth_l1_loss(g, z, beta=0.7, **PER_POSITION).mean((1, 2)),
    ),
    "logits": (
        "binary_cross_entropy(g, sigmoid(z))",
        lambda g, z, label: f.binary_cross_entropy_with_logits(g, z.sigmoid(), **PER_POSITION).mean((1, 2)),
    ),
    "squares": ("mse(g, z)", lambda g, z, label: f.mse_loss(g, z, **PER_POSITION).mean((1, 2))),
    "lengths": ("mae(g, z)", lambda g, z, label: f.l1_loss(g, z, **PER_POSITION).mean((1, 2))),
    "robust": (
        "huber(g, z, delta = 0.7)",
        lambda g, z, label: f.huber_loss(g, z, delta=0.7, **PER_POSITION).mean((1, 2)),
    ),
    "hinges": ("hinge(g, sign(z))", lambda g, z, label: (1 - g * z.sign()).clamp(min=0).mean((1, 2))),
    "margins": (
        "multi_margin(g, label, margin = 0.7)",
        lambda g, z, label: f.multi_margin_loss(g.reshape(-1, 4), label.reshape(-1), margin=0.7, **PER_POSITION)
        .reshape(label.shape)
        .mean(1),
    ),
    "rosenblatts": ("perceptron(g, sign(z))", lambda g, z, label: (-g * z.sign()).clamp(min=0).mean((1, 2))),
    "divergence": (
        "kl_divergence(log_softmax(g), maximum(softmax(3 * z) - 0.2, 0))",
        lambda g, z, label: f.kl_div(
            g.log_softmax(2), ((3 * z).softmax(2) - 0.2).clamp(min=0), **PER_POSITION
        ).sum(2).mean(1),
    ),
    "triplets": (
        "triplet(g, z, reverse(z, axis = 0), margin = 0.5)",
        lambda g, z, label: f.triplet_margin_loss(g, z, z.flip(1), margin=0.5, **PER_POSITION).mean(1),
    ),
}  # fmt: skip


@pytest.mark.parametrize("names", [list(TWINS)[:3], list(TWINS)[3:]], ids=["of_labels", "of_numbers"])
def test_losses(names, device):
    layers = {name: TWINS[name][0] for name in names}
    inputs = ["input x: [3, 4]", "input z: [3, 4]", "input label: class(4)[3]", "param gain: [3, 4] = uniform(0.5, 2)"]
    model = graphdl.loads(net(layers, [*inputs, "g = x * gain"]), seed=3)
    draw = np.random.default_rng(0)
    x, z = draw.normal(size=(2, 5, 3, 4)).astype(np.float32)
    label = draw.integers(0, 4, (5, 3))
    label[0] = 2
    parameters = tensors(model)
    g = torch.tensor(x) * parameters["gain"]
    wanted = {name: TWINS[name][1](g, torch.tensor(z), torch.tensor(label)) for name in names}
    compare(model, wanted, {"x": x, "z": z, "label": label}, parameters, training=False)


def test_a_label_that_does_not_count_may_be_no_class(device):
    model = graphdl.loads(
        "net n() { input x: [3, 4]; input label: int[3]; output y = cross_entropy(x, label, ignore = -100) }"
    )
    x, label = np.random.default_rng(0).normal(size=(2, 3, 4)).astype(np.float32), np.array([[1, -100, 3], [-100] * 3])
    found = model.run({"x": x, "label": label})["y"]
    want = f.cross_entropy(torch.tensor(x[0]), torch.tensor(label[0]), ignore_index=-100)
    np.testing.assert_allclose(found, [want, 0.0], **TOLERANCE)


def test_an_embedding_with_padding(device):
    text = "net n() { input x: class(7)[4]; output y = x -> embedding(3, padding = 1) as e; loss mean(y ** 2) }"
    model = graphdl.loads(text)
    x = np.array([[0, 6, 6, 2], [1, 1, 1, 6]])
    table = torch.tensor(np.array(model.parameters["e.W"]))
    table[1] = 0
    y = f.embedding(torch.tensor(x), table.requires_grad_(), padding_idx=1)
    (y**2).mean().backward()
    np.testing.assert_allclose(model.run({"x": x})["y"], y.detach().numpy(), **TOLERANCE)
    np.testing.assert_allclose(model.gradients(x=x)[1]["e.W"], table.grad.numpy(), **TOLERANCE)
