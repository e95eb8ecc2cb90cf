"""Layers of the library beside their twins in PyTorch: a net of many layers, its outputs and its gradients."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
import torch

import graphdl

TOLERANCE = {"rtol": 2e-4, "atol": 2e-5}

Twin = tuple[str, Callable[..., torch.Tensor]]
"""The chain of a layer, from a value ``g`` on, and the same function of a tensor and of the parameters by path."""


def tensors(model):
    """The parameters as PyTorch's, with gradients to come."""
    return {path: torch.tensor(np.array(value), requires_grad=True) for path, value in model.parameters.items()}


def compare(model, wanted, inputs, parameters, *, training=True):
    """The model's outputs, and the gradients of its loss (the mean square of all outputs), against ``wanted``."""
    found = model.run(inputs) if not training else None
    if found is not None:
        assert sorted(found) == sorted(wanted)
        for name, value in wanted.items():
            np.testing.assert_allclose(found[name], value.detach().numpy(), err_msg=name, **TOLERANCE)
    loss = sum((value**2).mean() for value in wanted.values())
    loss.backward()
    number, gradients = model.gradients(training=training, **inputs)
    assert number == pytest.approx(loss.item(), rel=1e-4)
    for path, parameter in parameters.items():
        np.testing.assert_allclose(gradients[path], parameter.grad.numpy(), err_msg=path, **TOLERANCE)


def net(layers, inputs):
    """The text of a net with an output for each layer, and a loss for each output."""
    lines = [f"    output {name} = {text}" for name, text in layers.items()]
    losses = [f"    loss l_{name} = mean({name} ** 2)" for name in layers]
    return "net layers() {\n" + "\n".join([f"    {line}" for line in inputs] + lines + losses) + "\n}\n"


def compare_layers(twins: Mapping[str, Twin], shape: Sequence[int], batch: int = 2, scale: float = 1.0) -> None:
    """Compares layers of an input of ``shape`` times a parameter, by which gradients reach what comes before a layer.

    Each layer has a parameter of its own. So its gradient is compared by itself.
    """
    gains = [f"param gain_{name}: {[*shape]} = uniform(0.5, 2)" for name in twins]
    layers = {name: text.replace("g ->", f"x * gain_{name} ->") for name, (text, _) in twins.items()}
    model = graphdl.loads(net(layers, [f"input x: {[*shape]}", *gains]), seed=3)
    x = (scale * np.random.default_rng(0).normal(size=(batch, *shape))).astype(np.float32)
    parameters = tensors(model)
    wanted = {name: twin(torch.tensor(x) * parameters[f"gain_{name}"], parameters) for name, (_, twin) in twins.items()}
    compare(model, wanted, {"x": x}, parameters, training=False)


def outputs(text: str, inputs: Mapping[str, np.ndarray]) -> Mapping[str, Any]:
    """The outputs of a net of this text."""
    return graphdl.loads(text).run(dict(inputs))
