"""Layers that a user writes in a file, trained beside the same in PyTorch."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch.nn import functional

import graphdl
from graphdl.runtime import Device

Weights = dict[str, torch.Tensor]

LAYER_NORMALIZATION = """
## Layer normalization (Ba et al., 2016) over the last dimension.
block my_norm(epsilon = 1e-5): x: [.., n] -> y: [.., n] {
    param gain: [n] = ones()
    param shift: [n] = zeros()
    centred = x - mean(x, axis = -1, keep = true)
    spread = sqrt(mean(centred ** 2, axis = -1, keep = true) + epsilon)
    y = gain * centred / spread + shift
}

net normalized() {
    input x: [6]
    input label: class(3)
    logits = x -> linear(16) -> my_norm as first -> relu -> linear(3) -> my_norm as second
    loss cross_entropy(logits, label)
    output logits
}
"""


def normalized(w: Weights, x: torch.Tensor) -> torch.Tensor:
    x = x @ w["logits.linear.W"] + w["logits.linear.b"]
    x = functional.relu(functional.layer_norm(x, (16,), w["first.gain"], w["first.shift"]))
    x = x @ w["logits.linear_2.W"] + w["logits.linear_2.b"]
    return functional.layer_norm(x, (3,), w["second.gain"], w["second.shift"])


SWISH = """
## x sigmoid(beta x), with a slope of its own for each unit (Ramachandran et al., 2017).
block my_swish(start = 1.0): x: [n] -> y: [n] {
    param beta: [n] = constant(start)
    y = x * sigmoid(beta * x)
}

net swished(activation = my_swish) {
    input x: [6]
    input label: class(3)
    logits = x -> [linear(n) -> activation(start = 1.5) for n in [12, 10]] -> linear(3)
    loss cross_entropy(logits, label)
    output logits
}
"""


def swished(w: Weights, x: torch.Tensor) -> torch.Tensor:
    for name in ("", "_2"):
        x = x @ w[f"logits.linear{name}.W"] + w[f"logits.linear{name}.b"]
        x = x * torch.sigmoid(w[f"logits.my_swish{name}.beta"] * x)
    return x @ w["logits.linear_3.W"] + w["logits.linear_3.b"]


SQUEEZE_AND_EXCITATION = """
## Scales each channel by what all channels together ask for (Hu et al., 2018).
block squeeze_and_excitation(ratio = 4): x: [c, h, w] -> y: [c, h, w] {
    assert c % ratio == 0, "{c} channels cannot be squeezed by {ratio}"
    scale = x -> global_avgpool -> flatten -> linear(c // ratio) -> relu -> linear(c) -> sigmoid
    y = x * reshape(scale, [c, 1, 1])
}

net excited() {
    input x: [3, 8, 8]
    input label: class(3)
    features = x -> conv(8, 3, pad = 1) -> squeeze_and_excitation as se -> relu -> maxpool(2)
                 -> conv(8, 3) -> squeeze_and_excitation(ratio = 2) as se_2 -> relu
    logits = features -> flatten -> linear(3)
    loss cross_entropy(logits, label)
    output logits
}
"""


def excited(w: Weights, x: torch.Tensor) -> torch.Tensor:
    def squeezed(x: torch.Tensor, at: str) -> torch.Tensor:
        z = functional.relu(x.mean((2, 3)) @ w[f"{at}.scale.linear.W"] + w[f"{at}.scale.linear.b"])
        z = torch.sigmoid(z @ w[f"{at}.scale.linear_2.W"] + w[f"{at}.scale.linear_2.b"])
        return functional.relu(x * z[:, :, None, None])

    x = squeezed(functional.conv2d(x, w["features.conv.W"], w["features.conv.b"], padding=1), "se")
    x = functional.max_pool2d(x, 2)
    x = squeezed(functional.conv2d(x, w["features.conv_2.W"], w["features.conv_2.b"]), "se_2")
    return x.flatten(1) @ w["logits.linear.W"] + w["logits.linear.b"]


TRAIN = "train { optimizer sgd(lr = 0.05, momentum = 0.9); batch 16 }\n"
CASES = {
    "layer normalization": (LAYER_NORMALIZATION, normalized, (6,)),
    "swish": (SWISH, swished, (6,)),
    "squeeze and excitation": (SQUEEZE_AND_EXCITATION, excited, (3, 8, 8)),
}


@pytest.mark.parametrize(("text", "network", "shape"), CASES.values(), ids=CASES)
def test_trains_as_in_pytorch(
    text: str, network: Callable[[Weights, torch.Tensor], torch.Tensor], shape: tuple[int, ...], device: Device
) -> None:
    model = graphdl.loads(text + TRAIN, seed=3)
    weights = {path: torch.tensor(value, requires_grad=True) for path, value in model.parameters.items()}
    optimizer = torch.optim.SGD(list(weights.values()), lr=0.05, momentum=0.9)
    trainer = model.trainer(batch=16)
    random = np.random.default_rng(5)
    patterns = random.normal(size=(3, *shape))
    ours, theirs = [], []
    for _ in range(50):
        label = random.integers(0, 3, 16)
        x = (patterns[label] + random.normal(size=(16, *shape))).astype(np.float32)
        ours.append(float(trainer.step(x=x, label=label)))
        loss = functional.cross_entropy(network(weights, torch.tensor(x)), torch.tensor(label))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        theirs.append(loss.item())
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)
    assert np.mean(ours[-5:]) < 0.7 * np.mean(ours[:5])
    wanted = network(weights, torch.tensor(x)).detach().numpy()
    np.testing.assert_allclose(model.predict(x=x)["logits"], wanted, rtol=1e-3, atol=1e-4)


def test_a_layer_of_ones_own_says_what_it_needs() -> None:
    with pytest.raises(graphdl.ModelError, match="3 channels cannot be squeezed by 4"):
        graphdl.loads(SQUEEZE_AND_EXCITATION.replace("x -> conv(8, 3, pad = 1)", "x -> conv(3, 3, pad = 1)"))
