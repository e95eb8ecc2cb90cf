"""The rows of the large nets of ``models/vision/``: their parameters, and their first steps beside PyTorch's."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from recorded.results import ROOT, Figure
from recorded.row import Row, exact
from recorded.runner import Runner

import graphdl
from graphdl.source import Source

STEPS, BATCH = 5, 4
RATE = 1e-2
NORMALIZED_RATE = 1e-5
"""The learning rate of nets with batch normalization. Over four examples it amplifies rounding: at a hundred times this
rate, the losses of ResNet-18 in PyTorch in single precision are 2 % from those in double precision after five steps.
"""


def photographs(size: int) -> np.ndarray:
    """A batch of crops of scikit-learn's two photographs, ``[BATCH, 3, size, size]``, each channel about 0."""
    from PIL import Image
    from sklearn.datasets import load_sample_images

    crops = []
    for number in range(BATCH):
        image = Image.fromarray(load_sample_images().images[number % 2])
        left = number // 2 * (image.width - image.height)
        crop = image.crop((left, 0, left + image.height, image.height)).resize((size, size))
        crops.append((np.asarray(crop, np.float32) / 255 - 0.45) / 0.225)
    return np.ascontiguousarray(np.stack(crops).transpose(0, 3, 1, 2))


def steps(
    file: str, twin: Callable[[Any], Any], parameters: int, size: int, rate: float, runner: Runner
) -> list[Figure]:
    """The parameters of a net, and its losses in a few steps of SGD with momentum on photographs, without dropout,
    beside those of its twin in PyTorch.

    ``twin`` gives the twin, from the module ``peers`` of ``tools/bench``. With batch normalization it takes its steps
    in double precision, too, which shows what of the difference is the rounding of single precision.
    """
    sys.path.insert(0, str(ROOT / "tools" / "bench"))
    import peers

    text = (ROOT / "models" / f"{file}.net").read_text("utf-8").partition("\ntrain {")[0]
    text = re.sub(r"dropout\([\d.]+\)", "dropout(0)", text)
    text += f"\ntrain {{ optimizer sgd(lr = {rate:f}, momentum = 0.9) }}\n"
    model = graphdl.Model(Source(f"{file}.net", text, str(ROOT / "models" / f"{file}.net")), device=runner.device)
    images, labels = photographs(size), np.array([970, 985, 580, 309], np.int32)
    theirs = {}
    for precision in ("float32", "float64") if rate == NORMALIZED_RATE else ("float32",):
        net = twin(peers).train()
        peers.copy_weights(net, model.parameters.values(), model.states.values())
        theirs[precision] = losses_in_pytorch(net, images.astype(precision), labels, rate)
    with runner.timed():
        trainer = model.trainer(batch=BATCH)
        ours = [float(trainer.step(image=images, label=labels)) for _ in range(STEPS)]
    worst = greatest_difference(ours, theirs["float32"])
    figures = [
        exact("parameters", sum(value.size for value in model.parameters.values()), parameters),
        Figure(f"losses of {STEPS} steps at a rate of {rate:g}", ", ".join(f"{loss:.4f}" for loss in ours)),
        Figure("greatest relative difference from PyTorch's", f"{worst:.1e}", "at most 1e-03", worst <= 1e-3),
    ]
    if "float64" in theirs:
        for whose, losses in {"ours": ours, "PyTorch's in single precision": theirs["float32"]}.items():
            distance = greatest_difference(losses, theirs["float64"])
            figures.append(Figure(f"{whose} from PyTorch's in double precision", f"{distance:.1e}"))
    return figures


def losses_in_pytorch(net: Any, images: np.ndarray, labels: np.ndarray, rate: float) -> list[float]:
    """The losses of a net in PyTorch, in the precision of the images."""
    import run_pytorch
    import torch

    given, wanted = torch.from_numpy(images), torch.from_numpy(labels).long()
    net.to(given.dtype)
    for module in net.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    optimizer = torch.optim.SGD(net.parameters(), lr=rate, momentum=0.9)
    losses = []
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss = run_pytorch.total_loss(net, given, wanted)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def greatest_difference(ours: list[float], theirs: list[float]) -> float:
    """The greatest difference of two lists of losses, relative to the second."""
    return max(abs(a - b) / b for a, b in zip(ours, theirs, strict=True))


def _row(title: str, name: str, published: str, twin: Callable[[Any], Any], parameters: int, size: int = 224) -> Row:
    file = f"vision/{name}"
    rate = NORMALIZED_RATE if name.startswith("resnet") else RATE
    return Row(title, file, published, partial(steps, file, twin, parameters, size, rate))


ROWS = {
    "alexnet": _row(
        "AlexNet, Krizhevsky et al. 2012", "alexnet", "60,965,224 parameters", lambda p: p.alexnet(), 60_965_224, 227
    ),
    "vgg16": _row(
        "VGG-16, Simonyan and Zisserman 2014", "vgg16", "138,357,544 parameters", lambda p: p.vgg16(), 138_357_544
    ),
    "googlenet": _row(
        "GoogLeNet, Szegedy et al. 2014", "googlenet", "13,378,280 parameters, 6,998,552 in prediction",
        lambda p: p.GoogLeNet(), 13_378_280,
    ),
    "resnet18": _row(
        "ResNet-18, He et al. 2016", "resnet18", "11,689,512 parameters", lambda p: p.resnet18(), 11_689_512
    ),
    "resnet34": _row(
        "ResNet-34, He et al. 2016", "resnet34", "21,797,672 parameters",
        lambda p: p.resnet18(depths=(3, 4, 6, 3)), 21_797_672,
    ),
    "resnet50": _row(
        "ResNet-50, He et al. 2016", "resnet50", "25,557,032 parameters", lambda p: p.resnet50(), 25_557_032
    ),
    "resnet101": _row(
        "ResNet-101, He et al. 2016", "resnet101", "44,549,160 parameters",
        lambda p: p.resnet50(depths=(3, 4, 23, 3)), 44_549_160,
    ),
    "resnet152": _row(
        "ResNet-152, He et al. 2016", "resnet152", "60,192,808 parameters",
        lambda p: p.resnet50(depths=(3, 8, 36, 3)), 60_192_808,
    ),
}  # fmt: skip
