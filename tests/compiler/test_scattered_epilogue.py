"""A product whose result is stored element by element: the gradient that goes back through a rectifier to images."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import graphdl

NET = """
net rectified(channels = 24, side = 4, classes = 10) {
    input image: [3, side, side]
    input label: class(classes)
    logits = image -> conv(channels, 3, pad = 1) as c -> relu -> flatten -> linear(classes)
    loss cross_entropy(logits, label)
}
"""


@pytest.mark.parametrize(("channels", "side"), [(24, 4), (12, 5), (7, 3)])
def test_gradients_through_a_rectifier_and_flatten_agree_with_pytorch(channels, side):
    model = graphdl.loads(NET, channels=channels, side=side)
    random = np.random.default_rng(1)
    image = random.standard_normal((6, 3, side, side), np.float32)
    label = random.integers(0, 10, 6)
    loss, gradients = model.gradients(image=image, label=label)
    weights = {path: torch.tensor(model.parameters[path], requires_grad=True) for path in model.parameters}
    hidden = torch.relu(torch.conv2d(torch.tensor(image), weights["c.W"], weights["c.b"], padding=1)).flatten(1)
    logits = hidden @ weights["logits.linear.W"] + weights["logits.linear.b"]
    wanted = torch.nn.functional.cross_entropy(logits, torch.tensor(label))
    wanted.backward()
    assert loss == pytest.approx(wanted.item(), rel=1e-5)
    for path, weight in weights.items():
        np.testing.assert_allclose(gradients[path], weight.grad.numpy(), rtol=1e-4, atol=1e-5)
