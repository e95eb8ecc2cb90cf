"""The nets that are measured: the file, its settings, the twin in PyTorch, and the batches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from torch import nn

    from graphdl.model import Model

MODELS = Path(__file__).resolve().parents[2] / "models"
TRAIN = "train { optimizer sgd(lr = 0.01, momentum = 0.9) }\n"
"""Every net is trained by this, whatever its file says, and PyTorch's twin by the same."""


@dataclass(frozen=True)
class Net:
    """``batch`` is that of a training step; ``shape`` is an example's, of the input named ``given``."""

    file: str
    batch: int
    shape: tuple[int, ...]
    classes: int
    settings: dict[str, Any] = field(default_factory=dict)
    given: str = "image"
    wanted: str = "label"
    peer: str = ""
    """The function of ``peers.py`` or ``sequence_peers.py``; the file's name unless it is said."""
    words: bool = False
    """Whether the input is one of ``classes`` at each place, as the label then is."""

    def twin(self, **settings: Any) -> nn.Module:
        """The net in PyTorch, with these settings instead of the row's."""
        import peers
        import sequence_peers

        name = self.peer or Path(self.file).stem
        made: nn.Module = getattr(peers, name, None) or getattr(sequence_peers, name)
        return made(**(settings or self.settings))

    def model(self, device: str | None, **settings: Any) -> Model:
        """The net in graphdl, with these settings instead of the row's."""
        from graphdl.model import Model
        from graphdl.source import Source

        path = MODELS / self.file
        text = path.read_text("utf-8").partition("\ntrain {")[0] + "\n" + TRAIN
        return Model(Source(self.file, text, str(path)), device=device, settings=settings or self.settings)

    def examples(self, batch: int) -> dict[str, np.ndarray]:
        """A batch: the input and the label by name."""
        random = np.random.default_rng(0)
        size = (batch, *self.shape)
        given = random.integers(0, self.classes, size) if self.words else random.normal(size=size)
        labels = (batch, self.shape[0]) if self.sequence else (batch,)
        label = random.integers(0, self.classes, labels).astype(np.int32)
        return {self.given: given.astype(np.int32 if self.words else np.float32), self.wanted: label}

    @property
    def sequence(self) -> bool:
        """Whether there is a label at each place, not one of the example."""
        return len(self.shape) < 3

    @property
    def convolutional(self) -> bool:
        return not self.sequence and self.file != "vision/mlp.net"


_photograph: Callable[..., Net] = partial(Net, shape=(3, 224, 224), classes=1000)

NETS: dict[str, Net] = {
    "mlp": Net("vision/mlp.net", 64, (1, 28, 28), 10, {"size": 28, "widths": [512, 512]}),
    "lenet": Net("vision/lenet.net", 64, (1, 28, 28), 10),
    "transformer": Net(
        "sequence/transformer_lm.net", 16, (128,), 65, {"length": 128, "units": 256, "heads": 4, "depth": 4},
        given="text", wanted="next", peer="TransformerLM", words=True,
    ),
    "lstm": Net(
        "sequence/phonemes.net", 32, (64, 128), 61, {"length": 64, "features": 128, "units": 256, "depth": 2},
        given="frames", wanted="phoneme", peer="Phonemes",
    ),
    "alexnet": Net("vision/alexnet.net", 16, (3, 227, 227), 1000),
    "vgg16": _photograph("vision/vgg16.net", 4),
    "resnet18": _photograph("vision/resnet18.net", 8),
    "resnet50": _photograph("vision/resnet50.net", 4),
    "googlenet": _photograph("vision/googlenet.net", 8, peer="GoogLeNet"),
    "densenet121": _photograph("vision/densenet.net", 4),
    "mobilenet_v2": _photograph("vision/mobilenet_v2.net", 8),
    "resnet20": Net("vision/resnet20.net", 128, (3, 32, 32), 10),
}  # fmt: skip
