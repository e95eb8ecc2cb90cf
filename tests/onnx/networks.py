"""Twelve networks in PyTorch, as their papers and torchvision have them, with few channels."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as f


def unit(inward: int, outward: int, kernel: int = 3, stride: int = 1, act: type[nn.Module] | None = nn.ReLU,
         groups: int = 1) -> nn.Sequential:  # fmt: skip
    """Convolution, batch normalization, activation."""
    conv = nn.Conv2d(inward, outward, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outward), *([act()] if act else []))


def head(channels: int, classes: int) -> nn.Sequential:
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes))


class Residual(nn.Module):
    """A residual block: two 3 x 3 convolutions, or a bottleneck (He et al., 2016)."""

    def __init__(self, inward: int, width: int, stride: int, expansion: int) -> None:
        super().__init__()
        outward = width * expansion
        shapes = [(inward, width, 3, stride), (width, width, 3, 1)]
        if expansion > 1:
            shapes = [(inward, width, 1, 1), (width, width, 3, stride), (width, outward, 1, 1)]
        self.count = len(shapes)
        for k, (a, b, kernel, by) in enumerate(shapes, 1):
            setattr(self, f"conv{k}", nn.Conv2d(a, b, kernel, by, kernel // 2, bias=False))
            setattr(self, f"bn{k}", nn.BatchNorm2d(b))
        self.relu = nn.ReLU()
        changes = stride != 1 or inward != outward
        self.downsample = unit(inward, outward, 1, stride, None) if changes else None

    def forward(self, x: Tensor) -> Tensor:
        y = x
        for k in range(1, self.count + 1):
            y = getattr(self, f"bn{k}")(getattr(self, f"conv{k}")(y))
            y = self.relu(y) if k < self.count else y
        return self.relu(y + (x if self.downsample is None else self.downsample(x)))


class ResNet(nn.Module):
    def __init__(self, depths: Sequence[int], expansion: int, width: int = 4, classes: int = 5) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 7, 2, 3, bias=False)
        self.bn1, self.relu, self.maxpool = nn.BatchNorm2d(width), nn.ReLU(), nn.MaxPool2d(3, 2, 1)
        self.stages, inward = [f"layer{k + 1}" for k in range(len(depths))], width
        for stage, depth in enumerate(depths):
            blocks = []
            for number in range(depth):
                blocks.append(Residual(inward, width << stage, 2 if stage and not number else 1, expansion))
                inward = (width << stage) * expansion
            setattr(self, self.stages[stage], nn.Sequential(*blocks))
        self.avgpool, self.fc = nn.AdaptiveAvgPool2d(1), nn.Linear(inward, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        for stage in self.stages:
            x = getattr(self, stage)(x)
        return self.fc(self.avgpool(x).flatten(1))


class Squeeze(nn.Module):
    """Squeeze and excitation (Hu et al., 2018)."""

    def __init__(self, channels: int, inner: int, act: nn.Module, gate: nn.Module) -> None:
        super().__init__()
        self.fc1, self.fc2, self.act, self.gate = (
            nn.Conv2d(channels, inner, 1),
            nn.Conv2d(inner, channels, 1),
            act,
            gate,
        )

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gate(self.fc2(self.act(self.fc1(x.mean((2, 3), keepdim=True)))))


class Inverted(nn.Module):
    """An inverted residual of MobileNetV2, MobileNetV3 and EfficientNet."""

    def __init__(self, inward: int, outward: int, wide: int, kernel: int, stride: int, act: type[nn.Module],
                 squeeze: nn.Module | None = None) -> None:  # fmt: skip
        super().__init__()
        parts = [unit(inward, wide, 1, 1, act)] if wide != inward else []
        parts.append(unit(wide, wide, kernel, stride, act, wide))
        parts += [squeeze] if squeeze is not None else []
        self.block = nn.Sequential(*parts, unit(wide, outward, 1, 1, None))
        self.same = stride == 1 and inward == outward

    def forward(self, x: Tensor) -> Tensor:
        return x + self.block(x) if self.same else self.block(x)


def mobilenet_v2(width: int = 4, depth: int = 7) -> nn.Module:
    stages = [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)]
    layers: list[nn.Module] = [unit(3, width, 3, 2, nn.ReLU6)]
    inward = width
    for expansion, channels, count, stride in stages[:depth]:
        outward = channels * width // 32
        for number in range(count):
            by = 1 if number else stride
            layers.append(Inverted(inward, outward, inward * expansion, 3, by, nn.ReLU6))
            inward = outward
    layers.append(unit(inward, 4 * inward, 1, 1, nn.ReLU6))
    net = nn.Sequential()
    net.features, net.classifier = nn.Sequential(*layers), head(4 * inward, 5)
    return net


def mobilenet_v3(width: int = 4) -> nn.Module:
    """MobileNetV3 small (Howard et al., 2019)."""
    rows = [
        (3, 16, 16, True, nn.ReLU, 2), (3, 72, 24, False, nn.ReLU, 2), (3, 88, 24, False, nn.ReLU, 1),
        (5, 96, 40, True, nn.Hardswish, 2), (5, 240, 40, True, nn.Hardswish, 1), (5, 240, 40, True, nn.Hardswish, 1),
        (5, 120, 48, True, nn.Hardswish, 1), (5, 144, 48, True, nn.Hardswish, 1),
        (5, 288, 96, True, nn.Hardswish, 2), (5, 576, 96, True, nn.Hardswish, 1), (5, 576, 96, True, nn.Hardswish, 1),
    ]  # fmt: skip
    layers: list[nn.Module] = [unit(3, width, 3, 2, nn.Hardswish)]
    inward = width
    for kernel, wide, channels, squeezed, act, stride in rows:
        inner, outward = wide * width // 16, channels * width // 16
        squeeze = Squeeze(inner, inner // 4, nn.ReLU(), nn.Hardsigmoid()) if squeezed else None
        layers.append(Inverted(inward, outward, inner, kernel, stride, act, squeeze))
        inward = outward
    layers.append(unit(inward, 6 * inward, 1, 1, nn.Hardswish))
    net = nn.Sequential()
    net.features = nn.Sequential(*layers)
    net.classifier = nn.Sequential(
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(6 * inward, 32),
        nn.Hardswish(),
        nn.Dropout(0.2),
        nn.Linear(32, 5),
    )
    return net


def efficientnet(width: int = 4) -> nn.Module:
    """EfficientNet-B0 (Tan and Le, 2019)."""
    rows = [
        (1, 3, 1, 16, 1), (6, 3, 2, 24, 2), (6, 5, 2, 40, 2), (6, 3, 2, 80, 3), (6, 5, 1, 112, 3), (6, 5, 2, 192, 4),
        (6, 3, 1, 320, 1),
    ]  # fmt: skip
    layers: list[nn.Module] = [unit(3, width, 3, 2, nn.SiLU)]
    inward = width
    for expansion, kernel, stride, channels, count in rows:
        outward, stage = channels * width // 16, []
        for number in range(count):
            squeeze = Squeeze(inward * expansion, max(1, inward // 4), nn.SiLU(), nn.Sigmoid())
            by = 1 if number else stride
            stage.append(Inverted(inward, outward, inward * expansion, kernel, by, nn.SiLU, squeeze))
            inward = outward
        layers.append(nn.Sequential(*stage))
    layers.append(unit(inward, 4 * inward, 1, 1, nn.SiLU))
    net = nn.Sequential()
    net.features, net.classifier = nn.Sequential(*layers), head(4 * inward, 5)
    return net


class DenseLayer(nn.Module):
    def __init__(self, inward: int, growth: int) -> None:
        super().__init__()
        self.norm1, self.conv1 = nn.BatchNorm2d(inward), nn.Conv2d(inward, 4 * growth, 1, bias=False)
        self.norm2, self.conv2 = nn.BatchNorm2d(4 * growth), nn.Conv2d(4 * growth, growth, 3, 1, 1, bias=False)

    def forward(self, seen: list[Tensor]) -> Tensor:
        return self.conv2(f.relu(self.norm2(self.conv1(f.relu(self.norm1(torch.cat(seen, 1)))))))


class DenseBlock(nn.ModuleDict):
    def forward(self, x: Tensor) -> Tensor:
        seen = [x]
        for layer in self.values():
            seen.append(layer(seen))
        return torch.cat(seen, 1)


class DenseNet(nn.Module):
    """DenseNet-BC (Huang et al., 2017)."""

    def __init__(self, depths: Sequence[int] = (6, 12, 24, 16), growth: int = 4) -> None:
        super().__init__()
        n = 2 * growth
        self.features = nn.Sequential()
        self.features.conv0, self.features.norm0 = nn.Conv2d(3, n, 7, 2, 3, bias=False), nn.BatchNorm2d(n)
        self.features.relu0, self.features.pool0 = nn.ReLU(), nn.MaxPool2d(3, 2, 1)
        for k, depth in enumerate(depths, 1):
            layers = {f"denselayer{i + 1}": DenseLayer(n + i * growth, growth) for i in range(depth)}
            setattr(self.features, f"denseblock{k}", DenseBlock(layers))
            n += depth * growth
            if k < len(depths):
                transition = nn.Sequential()
                transition.norm, transition.relu = nn.BatchNorm2d(n), nn.ReLU()
                transition.conv, transition.pool = nn.Conv2d(n, n // 2, 1, bias=False), nn.AvgPool2d(2, 2)
                setattr(self.features, f"transition{k}", transition)
                n //= 2
        setattr(self.features, f"norm{len(depths) + 1}", nn.BatchNorm2d(n))
        self.classifier = nn.Linear(n, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(f.adaptive_avg_pool2d(f.relu(self.features(x)), 1).flatten(1))


class Double(nn.Module):
    def __init__(self, inward: int, outward: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(inward, outward, 3, 1, 1), nn.Conv2d(outward, outward, 3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        return f.relu(self.conv2(f.relu(self.conv1(x))))


class UNet(nn.Module):
    """U-Net (Ronneberger et al., 2015) with pads."""

    def __init__(self, depth: int = 4, width: int = 4) -> None:
        super().__init__()
        widths = [width << k for k in range(depth + 1)]
        self.down = nn.ModuleList(Double(a, b) for a, b in zip([3, *widths], widths, strict=False))
        self.up = nn.ModuleList(nn.ConvTranspose2d(2 * n, n, 2, 2) for n in reversed(widths[:-1]))
        self.join = nn.ModuleList(Double(2 * n, n) for n in reversed(widths[:-1]))
        self.last = nn.Conv2d(width, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        seen = []
        for k, layer in enumerate(self.down):
            x = layer(f.max_pool2d(x, 2) if k else x)
            seen.append(x)
        for up, join, side in zip(self.up, self.join, reversed(seen[:-1]), strict=True):
            x = join(torch.cat([side, up(x)], 1))
        return self.last(x)


class Inception(nn.Module):
    """Four branches, as GoogLeNet has them (Szegedy et al., 2014)."""

    def __init__(self, inward: int, n1: int, r3: int, n3: int, r5: int, n5: int, last: int) -> None:
        super().__init__()
        self.branch1 = unit(inward, n1, 1)
        self.branch2 = nn.Sequential(unit(inward, r3, 1), unit(r3, n3, 3))
        self.branch3 = nn.Sequential(unit(inward, r5, 1), unit(r5, n5, 3))
        self.branch4 = nn.Sequential(nn.MaxPool2d(3, 1, 1), unit(inward, last, 1))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)], 1)


def googlenet(by: int = 16) -> nn.Module:
    rows = {
        "inception3a": (192, 64, 96, 128, 16, 32, 32), "inception3b": (256, 128, 128, 192, 32, 96, 64), "maxpool3": (),
        "inception4a": (480, 192, 96, 208, 16, 48, 64), "inception4b": (512, 160, 112, 224, 32, 64, 64),
        "inception4c": (512, 128, 128, 256, 32, 64, 64), "inception4d": (512, 112, 144, 288, 32, 64, 64),
        "inception4e": (528, 256, 160, 320, 32, 128, 128), "maxpool4": (),
        "inception5a": (832, 256, 160, 320, 32, 128, 128), "inception5b": (832, 384, 192, 384, 48, 128, 128),
    }  # fmt: skip
    net = nn.Sequential()
    net.conv1, net.maxpool1 = unit(3, 64 // by, 7, 2), nn.MaxPool2d(3, 2, 1)
    net.conv2, net.conv3 = unit(64 // by, 64 // by, 1), unit(64 // by, 192 // by, 3)
    net.maxpool2 = nn.MaxPool2d(3, 2, 1)
    for name, row in rows.items():
        setattr(net, name, Inception(*(n // by for n in row)) if row else nn.MaxPool2d(3, 2, 1))
    net.classifier = head(1024 // by, 5)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.ones_(module.bias)  # so that the few channels of the tests are alive
    return net


def vgg16(width: int = 4) -> nn.Module:
    layers: list[nn.Module] = []
    inward = 3
    for n in [1, 1, 0, 2, 2, 0, 4, 4, 4, 0, 8, 8, 8, 0, 8, 8, 8, 0]:
        layers += [nn.Conv2d(inward, n * width, 3, 1, 1), nn.ReLU()] if n else [nn.MaxPool2d(2, 2)]
        inward = n * width or inward
    net = nn.Sequential()
    net.features, net.flatten = nn.Sequential(*layers), nn.Flatten()
    net.classifier = nn.Sequential(
        nn.Linear(inward, 32), nn.ReLU(), nn.Dropout(), nn.Linear(32, 32), nn.ReLU(), nn.Dropout(), nn.Linear(32, 5)
    )
    return net


def alexnet(width: int = 8) -> nn.Module:
    net = nn.Sequential()
    net.features = nn.Sequential(
        nn.Conv2d(3, width, 11, 4, 2), nn.ReLU(), nn.MaxPool2d(3, 2), nn.Conv2d(width, 3 * width, 5, 1, 2), nn.ReLU(),
        nn.MaxPool2d(3, 2), nn.Conv2d(3 * width, 6 * width, 3, 1, 1), nn.ReLU(),
        nn.Conv2d(6 * width, 4 * width, 3, 1, 1), nn.ReLU(), nn.Conv2d(4 * width, 4 * width, 3, 1, 1), nn.ReLU(),
        nn.MaxPool2d(3, 2), nn.Flatten(),
    )  # fmt: skip
    net.classifier = nn.Sequential(nn.Dropout(), nn.Linear(4 * width, 32), nn.ReLU(), nn.Linear(32, 5))
    return net


class Recurrent(nn.Module):
    """A recurrent layer, and a classifier of its mean."""

    def __init__(self, layer: nn.Module, units: int) -> None:
        super().__init__()
        self.layer, self.head = layer, nn.Linear(units, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.layer(x)[0].mean(1))


class Encoder(nn.Module):
    """A transformer's encoder (Vaswani et al., 2017) on words, and a classifier of its mean."""

    def __init__(self, depth: int, units: int = 16, first: bool = False) -> None:
        super().__init__()
        self.embed, self.places = nn.Embedding(20, units), nn.Parameter(torch.randn(7, units))
        layer = nn.TransformerEncoderLayer(units, 2, 2 * units, batch_first=True, norm_first=first)
        self.encoder, self.head = nn.TransformerEncoder(layer, depth, enable_nested_tensor=False), nn.Linear(units, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.encoder(self.embed(x) + self.places).mean(1))


def autoencoder() -> nn.Module:
    """A convolutional autoencoder."""
    net = nn.Sequential()
    net.encoder = nn.Sequential(
        nn.Conv2d(3, 8, 3, 2, 1), nn.LeakyReLU(0.1), nn.Conv2d(8, 16, 3, 2, 1), nn.GELU(), nn.Flatten(),
        nn.Linear(256, 12), nn.LayerNorm(12),
    )  # fmt: skip
    net.decoder = nn.Sequential(
        nn.Linear(12, 256), nn.Unflatten(1, (16, 4, 4)), nn.ConvTranspose2d(16, 8, 3, 2, 1, 1), nn.ELU(),
        nn.Upsample(scale_factor=2), nn.Conv2d(8, 3, 3, 1, 1), nn.Sigmoid(),
    )  # fmt: skip
    return net


def images(size: int) -> Callable[[], Tensor]:
    return lambda: torch.randn(3, 3, size, size)


def sequences() -> Tensor:
    return torch.randn(3, 7, 5)


def words() -> Tensor:
    return torch.randint(0, 20, (3, 7))


NETS: dict[str, tuple[Callable[[], nn.Module], Callable[[], Tensor]]] = {
    "resnet18": (lambda: ResNet([2, 2, 2, 2], 1), images(32)),
    "resnet34": (lambda: ResNet([3, 4, 6, 3], 1), images(32)),
    "resnet50": (lambda: ResNet([3, 4, 6, 3], 4), images(32)),
    "mobilenet_v2": (mobilenet_v2, images(32)),
    "mobilenet_v3": (mobilenet_v3, images(32)),
    "efficientnet": (efficientnet, images(32)),
    "densenet": (DenseNet, images(32)),
    "unet": (UNet, images(32)),
    "googlenet": (googlenet, images(32)),
    "vgg16": (vgg16, images(32)),
    "alexnet": (alexnet, images(67)),
    "lstm": (lambda: Recurrent(nn.LSTM(5, 8, batch_first=True), 8), sequences),
    "gru": (lambda: Recurrent(nn.GRU(5, 4, num_layers=2, bidirectional=True, batch_first=True), 8), sequences),
    "transformer": (lambda: Encoder(4), words),
    "autoencoder": (autoencoder, images(16)),
}
"""The nets, and their inputs."""
