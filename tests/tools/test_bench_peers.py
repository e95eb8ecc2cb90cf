"""The nets of ``tools/bench`` in PyTorch are those of ``models/``: what is compared is the same work."""

from __future__ import annotations

import sys
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[2] / "tools" / "bench"))

import peers
from measured_nets import NETS
from run_pytorch import total_loss

from graphdl.model import Model

SMALL: dict[str, dict[str, Any]] = {
    "mlp": {"size": 28, "widths": [7, 6]},
    "lenet": {"classes": 10},
    "transformer": {"vocabulary": 65, "length": 128, "units": 6, "heads": 2, "depth": 2},
    "lstm": {"length": 64, "features": 128, "units": 5, "depth": 2, "classes": 61},
    "alexnet": {"size": 67, "classes": 5, "units": 32},
    "vgg16": {"size": 32, "classes": 5, "width": 4, "units": 16},
    "resnet18": {"size": 64, "classes": 5, "width": 4},
    "resnet50": {"size": 64, "classes": 5, "width": 4, "depths": [1, 2, 1, 1]},
    "googlenet": {"size": 96, "classes": 5},
    "densenet121": {"size": 32, "classes": 5, "growth": 4, "depths": [2, 2]},
    "mobilenet_v2": {"size": 32, "classes": 5, "first": 4, "last": 8, "stages": [[1, 4, 1, 1], [2, 6, 2, 2]]},
    "resnet20": {"depth": 1, "width": 4},
}
QUICK = ("mlp", "lenet", "transformer", "lstm")


def sizes(model: Model) -> list[int]:
    return [prod(variable.type.shape) for variable in model.network.training.parameters.values()]


@pytest.mark.parametrize("name", NETS)
def test_twins_have_the_parameters_of_the_row(name: str) -> None:
    """Every parameter has the same number of elements as the one of the file in its place."""
    with torch.device("meta"):
        twin = NETS[name].twin()
    assert [p.numel() for p in twin.parameters()] == sizes(NETS[name].model(None))


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in NETS]
)
def test_twins_compute_the_same(name: str) -> None:
    """With the same weights they predict the same; with weights that are not copied they would not."""
    row, settings = NETS[name], SMALL[name]
    model = row.model(None, **settings)
    twin = row.twin(**settings).eval()
    random = np.random.default_rng(5)
    for path in model.states:
        model.states[path] = 0.5 + random.random(model.states[path].shape)
    peers.copy_weights(twin, model.parameters.values(), model.states.values())
    side = settings.get("size")
    shape = row.shape if side is None or row.sequence else (row.shape[0], side, side)
    x = random.integers(0, row.classes, (3, *shape)) if row.words else random.normal(size=(3, *shape))
    x = x.astype(np.int32 if row.words else np.float32)
    found = model.predict(**{row.given: x})["probability"]
    with torch.no_grad():
        logits = twin(torch.from_numpy(x))
        wanted = logits.softmax(-1).numpy()
        assert np.ptp(wanted) > 1e-3
        np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-5)
        label = torch.from_numpy(random.integers(0, logits.shape[-1], logits.shape[:-1]))
        loss = total_loss(twin, torch.from_numpy(x), label).item()
    picked = np.take_along_axis(found, label.numpy()[..., None], -1)
    assert loss == pytest.approx(float(-np.log(picked).mean()), rel=1e-3)
