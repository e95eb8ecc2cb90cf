"""The nets of ``models/sequence/`` in PyTorch: see ``peers.py``."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention


class Phonemes(nn.Module):
    """LSTMs above each other, and a linear classifier of each frame."""

    def __init__(
        self, length: int = 100, features: int = 123, units: int = 250, depth: int = 3, classes: int = 61
    ) -> None:
        super().__init__()
        self.memory = nn.LSTM(features, units, depth, batch_first=True)
        self.top = nn.Linear(units, classes)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.top(self.memory(x)[0])
        return logits


class Attention(nn.Module):
    """Causal attention by several heads, with PyTorch's own kernel for its middle."""

    def __init__(self, units: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.join = (nn.Linear(units, units) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (
            layer(x).unflatten(-1, (self.heads, -1)).transpose(1, 2) for layer in (self.query, self.key, self.value)
        )
        y = scaled_dot_product_attention(q, k, v, dropout_p=0.1 if self.training else 0.0, is_causal=True)
        joined: Tensor = self.join(y.transpose(1, 2).flatten(2))
        return joined


class Layer(nn.Module):
    """Attention, then two linear layers, each normalized before it and added to its input."""

    def __init__(self, units: int, heads: int) -> None:
        super().__init__()
        self.attend = nn.Sequential(nn.LayerNorm(units), Attention(units, heads), nn.Dropout(0.1))
        self.think = nn.Sequential(
            nn.LayerNorm(units), nn.Linear(units, 4 * units), nn.GELU(), nn.Linear(4 * units, units), nn.Dropout(0.1)
        )

    def forward(self, x: Tensor) -> Tensor:
        h = x + self.attend(x)
        y: Tensor = h + self.think(h)
        return y


class TransformerLM(nn.Module):
    def __init__(
        self, vocabulary: int = 65, length: int = 64, units: int = 128, heads: int = 4, depth: int = 4
    ) -> None:
        super().__init__()
        self.place = nn.Parameter(0.02 * torch.randn(length, units))
        self.embedding = nn.Embedding(vocabulary, units)
        self.layers = nn.Sequential(
            nn.Dropout(0.1), *[Layer(units, heads) for _ in range(depth)], nn.LayerNorm(units),
            nn.Linear(units, vocabulary),
        )  # fmt: skip

    def forward(self, text: Tensor) -> Tensor:
        logits: Tensor = self.layers(self.embedding(text) + self.place)
        return logits
