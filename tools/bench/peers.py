"""The nets of ``models/`` in PyTorch, to be measured and compared with.

Each takes the settings of its ``.net`` and returns logits of shape ``[batch, .., classes]``. Parameters and running
values are registered in the order in which the ``.net`` declares them, so that ``copy_weights`` needs no names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn


def conv(inward: int, channels: int, kernel: int, *, activation: type[nn.Module] = nn.ReLU, **rest: Any) -> list[Any]:
    """Convolution, batch normalization and an activation. The padding keeps the size at a stride of 1."""
    layer = nn.Conv2d(inward, channels, kernel, padding=kernel // 2, bias=False, **rest)
    return [layer, nn.BatchNorm2d(channels), activation()]


def conv_relu(inward: int, channels: int, kernel: int, **rest: Any) -> list[nn.Module]:
    return [nn.Conv2d(inward, channels, kernel, **rest), nn.ReLU()]


def mlp(size: int = 8, widths: Sequence[int] = (64, 64), classes: int = 10) -> nn.Module:
    layers: list[nn.Module] = [nn.Flatten()]
    inward = size * size
    for width in widths:
        layers += [nn.Linear(inward, width), nn.ReLU()]
        inward = width
    return nn.Sequential(*layers, nn.Linear(inward, classes))


def lenet(classes: int = 10) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 20, 5), nn.MaxPool2d(2), nn.Conv2d(20, 50, 5), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(800, 500), nn.ReLU(), nn.Linear(500, classes),
    )  # fmt: skip


def alexnet(size: int = 227, classes: int = 1000, units: int = 4096) -> nn.Module:
    def normalized() -> nn.Module:
        return nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2.0)

    low = [*conv_relu(3, 96, 11, stride=4), normalized(), nn.MaxPool2d(3, 2)]
    low += [*conv_relu(96, 256, 5, padding=2, groups=2), normalized(), nn.MaxPool2d(3, 2)]
    high = [
        *conv_relu(256, 384, 3, padding=1), *conv_relu(384, 384, 3, padding=1, groups=2),
        *conv_relu(384, 256, 3, padding=1, groups=2), nn.MaxPool2d(3, 2),
    ]  # fmt: skip
    side = (size - 11) // 4 + 1
    for _ in range(3):
        side = (side - 3) // 2 + 1
    hidden: list[nn.Module] = [nn.Flatten()]
    inward = 256 * side * side
    for _ in range(2):
        hidden += [nn.Dropout(0.5), nn.Linear(inward, units), nn.ReLU()]
        inward = units
    return nn.Sequential(*low, *high, *hidden, nn.Linear(units, classes))


def vgg16(size: int = 224, classes: int = 1000, width: int = 64, units: int = 4096) -> nn.Module:
    layers: list[nn.Module] = []
    inward = 3
    for factor, count in ((1, 2), (2, 2), (4, 3), (8, 3), (8, 3)):
        for _ in range(count):
            layers += conv_relu(inward, factor * width, 3, padding=1)
            inward = factor * width
        layers.append(nn.MaxPool2d(2))
    layers.append(nn.Flatten())
    inward *= (size // 32) ** 2
    for _ in range(2):
        layers += [nn.Linear(inward, units), nn.ReLU(), nn.Dropout(0.5)]
        inward = units
    return nn.Sequential(*layers, nn.Linear(units, classes))


class Residual(nn.Module):
    """``main`` beside the way around it (He et al., 2016, option B), and a rectifier over their sum."""

    def __init__(self, main: list[nn.Module], inward: int, channels: int, stride: int) -> None:
        super().__init__()
        self.main = nn.Sequential(*main)
        same = stride == 1 and inward == channels
        around = [] if same else conv(inward, channels, 1, stride=stride)[:2]
        self.skip = nn.Sequential(*around)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.main(x) + self.skip(x))


def basic(inward: int, width: int, stride: int) -> Residual:
    main = [*conv(inward, width, 3, stride=stride), *conv(width, width, 3)[:2]]
    return Residual(main, inward, width, stride)


def bottleneck(inward: int, width: int, stride: int) -> Residual:
    main = [*conv(inward, width, 1), *conv(width, width, 3, stride=stride), *conv(width, 4 * width, 1)[:2]]
    return Residual(main, inward, 4 * width, stride)


def residual_stages(
    unit: Callable[[int, int, int], Residual], depths: Sequence[int], inward: int, width: int, expansion: int = 1
) -> tuple[list[nn.Module], int]:
    """Stages of ``depths`` blocks, each but the first at half the size, and the channels that they end with."""
    layers: list[nn.Module] = []
    for stage, depth in enumerate(depths):
        for number in range(depth):
            layers.append(unit(inward, width * 2**stage, 2 if stage and not number else 1))
            inward = expansion * width * 2**stage
    return layers, inward


def classifier(channels: int, classes: int) -> list[nn.Module]:
    return [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes)]


def resnet20(classes: int = 10, depth: int = 3, width: int = 16) -> nn.Module:
    stages, channels = residual_stages(basic, [depth] * 3, width, width)
    return nn.Sequential(*conv(3, width, 3), *stages, *classifier(channels, classes))


def resnet18(size: int = 224, classes: int = 1000, width: int = 64, depths: Sequence[int] = (2, 2, 2, 2)) -> nn.Module:
    stages, channels = residual_stages(basic, depths, width, width)
    stem = [*conv(3, width, 7, stride=2), nn.MaxPool2d(3, 2, 1)]
    return nn.Sequential(*stem, *stages, *classifier(channels, classes))


def resnet50(size: int = 224, classes: int = 1000, width: int = 64, depths: Sequence[int] = (3, 4, 6, 3)) -> nn.Module:
    stages, channels = residual_stages(bottleneck, depths, width, width, expansion=4)
    stem = [*conv(3, width, 7, stride=2), nn.MaxPool2d(3, 2, 1)]
    return nn.Sequential(*stem, *stages, *classifier(channels, classes))


class Joined(nn.Module):
    """Ways side by side, joined along the channels."""

    def __init__(self, *ways: nn.Module) -> None:
        super().__init__()
        self.ways = nn.ModuleList(ways)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([way(x) for way in self.ways], 1)


def inception(inward: int, n1: int, r3: int, n3: int, r5: int, n5: int, proj: int) -> nn.Module:
    return Joined(
        nn.Sequential(*conv_relu(inward, n1, 1)),
        nn.Sequential(*conv_relu(inward, r3, 1), *conv_relu(r3, n3, 3, padding=1)),
        nn.Sequential(*conv_relu(inward, r5, 1), *conv_relu(r5, n5, 5, padding=2)),
        nn.Sequential(nn.MaxPool2d(3, 1, 1), *conv_relu(inward, proj, 1)),
    )


class GoogLeNet(nn.Module):
    """In training the logits come with those of the two auxiliary classifiers."""

    def __init__(self, size: int = 224, classes: int = 1000) -> None:
        super().__init__()

        def pool() -> nn.Module:
            return nn.MaxPool2d(3, 2, 1)

        stem = [
            *conv_relu(3, 64, 7, stride=2, padding=3), pool(), nn.LocalResponseNorm(5, alpha=1e-4),
            *conv_relu(64, 64, 1), *conv_relu(64, 192, 3, padding=1), nn.LocalResponseNorm(5, alpha=1e-4), pool(),
        ]  # fmt: skip
        self.low = nn.Sequential(
            *stem, inception(192, 64, 96, 128, 16, 32, 32), inception(256, 128, 128, 192, 32, 96, 64), pool(),
            inception(480, 192, 96, 208, 16, 48, 64),
        )  # fmt: skip
        self.middle = nn.Sequential(
            inception(512, 160, 112, 224, 24, 64, 64), inception(512, 128, 128, 256, 24, 64, 64),
            inception(512, 112, 144, 288, 32, 64, 64),
        )  # fmt: skip
        self.high = nn.Sequential(
            inception(528, 256, 160, 320, 32, 128, 128), pool(), inception(832, 256, 160, 320, 32, 128, 128),
            inception(832, 384, 192, 384, 48, 128, 128),
        )  # fmt: skip
        self.top = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.4), nn.Linear(1024, classes)
        )  # fmt: skip
        side = (-(-size // 16) - 5) // 3 + 1

        def head(channels: int) -> nn.Module:
            return nn.Sequential(
                nn.AvgPool2d(5, 3), *conv_relu(channels, 128, 1), nn.Flatten(), nn.Linear(128 * side * side, 1024),
                nn.ReLU(), nn.Dropout(0.7), nn.Linear(1024, classes),
            )  # fmt: skip

        self.head_low, self.head_middle = head(512), head(528)

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor, Tensor]:
        low = self.low(x)
        middle = self.middle(low)
        logits: Tensor = self.top(self.high(middle))
        return (logits, self.head_low(low), self.head_middle(middle)) if self.training else logits


class Grown(nn.Module):
    """The input, joined with what the layers make of it (Huang et al., 2017)."""

    def __init__(self, inward: int, growth: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(*norm_first(inward, 4 * growth, 1), *norm_first(4 * growth, growth, 3))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, self.layers(x)], 1)


def norm_first(inward: int, channels: int, kernel: int) -> list[nn.Module]:
    layer = nn.Conv2d(inward, channels, kernel, padding=kernel // 2, bias=False)
    return [nn.BatchNorm2d(inward), nn.ReLU(), layer]


def densenet(
    size: int = 224, classes: int = 1000, growth: int = 32, depths: Sequence[int] = (6, 12, 24, 16)
) -> nn.Module:
    channels = 2 * growth
    layers: list[nn.Module] = [*conv(3, channels, 7, stride=2), nn.MaxPool2d(3, 2, 1)]
    for stage, depth in enumerate(depths):
        for _ in range(depth):
            layers.append(Grown(channels, growth))
            channels += growth
        if stage < len(depths) - 1:
            layers += [*norm_first(channels, channels // 2, 1), nn.AvgPool2d(2)]
            channels //= 2
    return nn.Sequential(*layers, nn.BatchNorm2d(channels), nn.ReLU(), *classifier(channels, classes))


class Added(nn.Sequential):
    """The input is added to what the layers make of it."""

    def forward(self, x: Tensor) -> Tensor:
        return x + super().forward(x)


MOBILE = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
"""Expansion, channels, blocks and first stride of each stage of MobileNetV2."""


def mobilenet_v2(
    size: int = 224, classes: int = 1000, first: int = 32, last: int = 1280, stages: Sequence[Sequence[int]] = MOBILE
) -> nn.Module:
    layers: list[nn.Module] = conv(3, first, 3, stride=2, activation=nn.ReLU6)
    inward = first
    for expansion, channels, count, step in stages:
        for number in range(count):
            stride, width = 1 if number else step, expansion * inward
            block = conv(inward, width, 1, activation=nn.ReLU6) if expansion > 1 else []
            block += conv(width, width, 3, stride=stride, groups=width, activation=nn.ReLU6)
            block += conv(width, channels, 1)[:2]
            same = stride == 1 and inward == channels
            layers.append(Added(*block) if same else nn.Sequential(*block))
            inward = channels
    pool, flatten, linear = classifier(last, classes)
    return nn.Sequential(
        *layers, *conv(inward, last, 1, activation=nn.ReLU6), pool, flatten, nn.Dropout(0.2), linear
    )  # fmt: skip


def copy_weights(net: nn.Module, parameters: Iterable[np.ndarray], states: Iterable[np.ndarray] = ()) -> None:
    """Gives a net the parameters and running values of its ``.net``, in order. Matrices lie transposed there, and a
    table of an embedding does not.

    Raises:
        ValueError: their numbers differ.
    """
    tables = {id(module.weight) for module in net.modules() if isinstance(module, nn.Embedding)}
    own = {id(p) for p in net._parameters.values()}
    with torch.no_grad():
        for mine, value in zip(net.parameters(), parameters, strict=True):
            straight = mine.ndim != 2 or id(mine) in tables | own
            mine.copy_(torch.from_numpy(value if straight else value.T))
        running = [buffer for name, buffer in net.named_buffers() if name.split(".")[-1] in RUNNING]
        for mine, value in zip(running, states, strict=True):
            mine.copy_(torch.from_numpy(value))


RUNNING = ("running_mean", "running_var")
