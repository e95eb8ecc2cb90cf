"""Networks of PyTorch, as its exporter writes them, import and compute the same."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as f

pytest.importorskip("onnx.helper")  # not "onnx": this folder would be found
onnx = pytest.importorskip("onnx")

from graphdl.model import of_imported  # noqa: E402
from graphdl.onnx import ImportedGraph, read  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")  # the exporter's own


class Residual(nn.Module):
    def __init__(self, inward: int, outward: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inward, outward, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outward)
        self.conv2 = nn.Conv2d(outward, outward, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outward)
        self.down = nn.Conv2d(inward, outward, 1, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        return torch.relu(y + self.down(x))


class Gate(nn.Module):
    """Squeeze and excitation, as MobileNetV3 has it."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Conv2d(channels, 4, 1), nn.Conv2d(4, channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * f.hardsigmoid(self.fc2(torch.relu(self.fc1(f.adaptive_avg_pool2d(x, 1)))))


class UNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 16, 3, padding=1)
        self.up, self.c = nn.ConvTranspose2d(16, 8, 2, 2), nn.Conv2d(16, 1, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        a = torch.relu(self.a(x))
        b = torch.relu(self.b(f.max_pool2d(a, 2)))
        return torch.sigmoid(self.c(torch.cat([a, self.up(b)], 1)))


class Last(nn.Module):
    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer, self.head = layer, nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.layer(x)[0][:, -1])


class Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed, self.places = nn.Embedding(20, 16), nn.Parameter(torch.randn(7, 16))
        self.encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(16, 2, 32, batch_first=True), 2)
        self.head = nn.Linear(16, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.encoder(self.embed(x) + self.places).mean(1))


def images() -> torch.Tensor:
    return torch.randn(3, 3, 16, 16)


NETS = {
    "residual": lambda: (
        nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(3, 2, 1), Residual(8, 16, 2),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 5),
        ), images(),
    ),
    "mobile": lambda: (
        nn.Sequential(
            nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU6(), nn.Conv2d(8, 8, 3, 1, 1, groups=8),
            nn.Hardswish(), Gate(8), nn.SiLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.2), nn.Linear(8, 5),
        ), images(),
    ),
    "unet": lambda: (UNet(), images()),
    "lstm": lambda: (Last(nn.LSTM(5, 8, batch_first=True)), torch.randn(3, 7, 5)),
    "gru": lambda: (Last(nn.GRU(5, 4, num_layers=2, bidirectional=True, batch_first=True)), torch.randn(3, 7, 5)),
    "encoder": lambda: (Encoder(), torch.randint(0, 20, (3, 7))),
    "autoencoder": lambda: (
        nn.Sequential(
            nn.Flatten(), nn.Linear(48, 16), nn.GELU(), nn.LayerNorm(16), nn.Linear(16, 48), nn.Unflatten(1, (3, 4, 4)),
        ), torch.randn(3, 3, 4, 4),
    ),
}  # fmt: skip


def exported(name: str) -> tuple[ImportedGraph, nn.Module, torch.Tensor]:
    """A net with random weights, imported from the file that PyTorch writes with an open batch."""
    torch.manual_seed(1)
    net, x = NETS[name]()
    for parameter in net.parameters():  # the layers of an encoder begin as copies, which the exporter shares
        parameter.data += 0.1 * torch.randn_like(parameter)
    net.eval()
    file = io.BytesIO()
    torch.onnx.export(
        net, (x[:2],), file, dynamo=False, input_names=["x"], output_names=["y"],
        dynamic_axes={"x": {0: "batch"}, "y": {0: "batch"}},
    )  # fmt: skip
    return read(onnx.load_from_string(file.getvalue()), name=name), net, x


@pytest.mark.parametrize("name", NETS)
def test_an_exported_net_agrees_with_pytorch(name: str) -> None:
    imported, net, x = exported(name)
    assert imported.batched
    with torch.no_grad():
        want = net(x).numpy()
    got = of_imported(imported).predict(x=x.numpy())[imported.outputs["y"].name]
    np.testing.assert_allclose(got, want, atol=1e-4)


def test_products_and_sums_of_an_encoder_are_layers() -> None:
    imported, _, _ = exported("encoder")
    assert imported.text.count("-> linear(") == 4 + 1  # the two layers are one block
    assert imported.text.count("-> layernorm") == 2
    assert "bias = false" not in imported.text
