"""Augmentation: what is done to the fields of a batch between the data set and the net.

Every step works on a whole batch. What is random in it depends on the seed, the epoch, the step's place among the
steps, and the position of the example in the epoch's order; on nothing else. Each step declares what it becomes
outside of training: the same, another without chance (a crop at the centre), or nothing.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from graphdl.data.dataset import DataSet, Statistics
from graphdl.graph.types import TensorType
from graphdl.settings import Call

Floats = NDArray[np.float32]
Draws = NDArray[np.float64]
"""``[examples, 4]``, each in [0, 1)."""


class Step(ABC):
    """What one setting does to one field."""

    def type(self, before: TensorType) -> TensorType:
        """The field's type afterwards, in training and outside of it."""
        return before

    @abstractmethod
    def apply(self, values: Floats, draws: Draws) -> Floats:
        """The batch afterwards, in training; ``values`` may be changed."""

    @abstractmethod
    def prediction(self) -> Fixed | None:
        """What the step becomes outside of training: in an evaluation, and in the predictions of a run.

        None only if an example is as likely to be left as it is: for a random step that changes no type.
        """


class Fixed(Step):
    """A step without chance, the same in training and outside of it. A run keeps it, for predictions."""

    kinds: ClassVar[dict[str, type[Fixed]]] = {}
    """All of them, by the names that runs keep."""
    name: ClassVar[str]

    def __init_subclass__(cls, name: str) -> None:
        cls.name = name
        Fixed.kinds[name] = cls

    def apply(self, values: Floats, draws: Draws) -> Floats:
        return self.transform(values)

    def prediction(self) -> Fixed:
        return self

    @abstractmethod
    def transform(self, values: Floats) -> Floats:
        """The batch afterwards; ``values`` may be changed."""

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """JSON: all that makes the step again; ``name`` is taken."""

    @classmethod
    @abstractmethod
    def of_settings(cls, settings: Mapping[str, Any]) -> Fixed:
        """The step with these settings.

        Raises:
            KeyError: one is missing.
            TypeError: one is of the wrong kind.
            ValueError: likewise.
        """

    def described(self) -> dict[str, Any]:
        """JSON, from which ``restored`` makes the step again."""
        return {"name": self.name, **self.settings()}


def restored(described: Mapping[str, Any]) -> Fixed:
    """The step that ``described`` tells of.

    Raises:
        KeyError: there is none of this name, or a setting is missing.
        TypeError: a setting is of the wrong kind.
        ValueError: likewise.
    """
    return Fixed.kinds[described["name"]].of_settings(described)


@dataclass(frozen=True)
class Crop(Step):
    """A window of ``height`` × ``width`` out of images [c, h, w] that get ``pad`` zeros on each side first."""

    height: int
    width: int
    pad: int

    def type(self, before: TensorType) -> TensorType:
        return TensorType((before.shape[0], self.height, self.width))

    def apply(self, values: Floats, draws: Draws) -> Floats:
        windows = _windows(values, self.height, self.width, self.pad)
        top = (draws[:, 0] * windows.shape[2]).astype(np.intp)
        left = (draws[:, 1] * windows.shape[3]).astype(np.intp)
        return windows[np.arange(len(values)), :, top, left]

    def prediction(self) -> CentreCrop:
        return CentreCrop(self.height, self.width, self.pad)


@dataclass(frozen=True)
class CentreCrop(Fixed, name="crop"):
    """The window at the centre."""

    height: int
    width: int
    pad: int

    def type(self, before: TensorType) -> TensorType:
        return TensorType((before.shape[0], self.height, self.width))

    def transform(self, values: Floats) -> Floats:
        windows = _windows(values, self.height, self.width, self.pad)
        return windows[:, :, (windows.shape[2] - 1) // 2, (windows.shape[3] - 1) // 2].copy()

    def settings(self) -> dict[str, Any]:
        return {"size": [self.height, self.width], "pad": self.pad}

    @classmethod
    def of_settings(cls, settings: Mapping[str, Any]) -> CentreCrop:
        height, width = map(int, settings["size"])
        pad = int(settings["pad"])
        if not 0 <= pad < min(height, width):
            raise ValueError(f"a crop of {height}×{width} with a pad of {pad}")
        return cls(height, width, pad)


def _windows(values: Floats, height: int, width: int, pad: int) -> Floats:
    """All windows of the padded images: a view [examples, c, rows, columns, height, width]."""
    padded = np.pad(values, ((0, 0), (0, 0), (pad, pad), (pad, pad))) if pad else values
    return sliding_window_view(padded, (height, width), axis=(2, 3))


@dataclass(frozen=True)
class Flip(Step):
    """Mirrors images [c, h, w] left to right with probability ``p``."""

    p: float

    def apply(self, values: Floats, draws: Draws) -> Floats:
        chosen = draws[:, 0] < self.p
        values[chosen] = values[chosen, :, :, ::-1]
        return values

    def prediction(self) -> None:
        return None


@dataclass(frozen=True)
class Color(Step):
    """Scales brightness, contrast and saturation of images [c, h, w], in this order, each by a factor near 1.

    A factor is uniform in ``1 ± amount``. Contrast is scaled about the image's mean, saturation about each pixel's.
    """

    brightness: float
    contrast: float
    saturation: float

    def apply(self, values: Floats, draws: Draws) -> Floats:
        amounts = (self.brightness, self.contrast, self.saturation)
        factors = (1 + (2 * draws[:, :3] - 1) * amounts).astype(np.float32)[:, :, None, None, None]
        if self.brightness:
            values *= factors[:, 0]
        if self.contrast:
            mean = values.mean(axis=(1, 2, 3), keepdims=True)
            values = (values - mean) * factors[:, 1] + mean
        if self.saturation:
            grey = values.mean(axis=1, keepdims=True)
            values = (values - grey) * factors[:, 2] + grey
        return values

    def prediction(self) -> None:
        return None


@dataclass(frozen=True, eq=False)
class Normalize(Fixed, name="normalize"):
    """Subtracts the mean and divides by the standard deviation; both broadcast against one example."""

    mean: Floats
    std: Floats

    def transform(self, values: Floats) -> Floats:
        values -= self.mean
        values /= self.std
        return values

    def settings(self) -> dict[str, Any]:
        return {"mean": self.mean.tolist(), "std": self.std.tolist()}

    @classmethod
    def of_settings(cls, settings: Mapping[str, Any]) -> Normalize:
        return cls(np.array(settings["mean"], np.float32), np.array(settings["std"], np.float32))


@dataclass(frozen=True)
class Place(Call):
    """A setting of ``augment`` and the fields as they are when its turn comes."""

    dataset: DataSet
    types: Mapping[str, TensorType]

    def images(self) -> dict[str, TensorType]:
        return {name: kind for name, kind in self.types.items() if kind.element == "float" and kind.rank == 3}

    def needs_images(self) -> dict[str, TensorType]:
        images = self.images()
        if not images:
            raise self.error(
                "E0711",
                f"'{self.setting.name}' needs images [channels, height, width]; '{self.dataset.name}' has none",
                notes=[f"its fields are: {_listed(self.types)}"],
            )
        return images


def crop(place: Place, height: int, width: int, pad: int) -> dict[str, Step]:
    """See ``graphdl.data.declarations``."""
    for name, kind in place.needs_images().items():
        if kind.shape[1] + 2 * pad < height or kind.shape[2] + 2 * pad < width:
            raise place.error(
                "E0711",
                f"crop([{height}, {width}], pad = {pad}) does not fit into '{name}', which is {kind}",
                help=f"pad by at least {-(-max(height - kind.shape[1], width - kind.shape[2]) // 2)}",
            )
    return {name: Crop(height, width, pad) for name in place.images()}


def flip(place: Place, p: float) -> dict[str, Step]:
    """See ``graphdl.data.declarations``."""
    return {name: Flip(p) for name in place.needs_images()}


def color(place: Place, brightness: float, contrast: float, saturation: float) -> dict[str, Step]:
    """See ``graphdl.data.declarations``."""
    return {name: Color(brightness, contrast, saturation) for name in place.needs_images()}


def normalize(place: Place, given: tuple[tuple[float, ...], tuple[float, ...]] | None) -> dict[str, Step]:
    """See ``graphdl.data.declarations``; ``given`` holds means and deviations."""
    chosen = place.images() or {
        name: kind for name, kind in place.types.items() if kind.element == "float" and kind.rank > 0
    }
    if not chosen:
        raise place.error(
            "E0711",
            f"'normalize' needs a field of floats; '{place.dataset.name}' has none",
            notes=[f"its fields are: {_listed(place.types)}"],
        )
    steps: dict[str, Step] = {}
    for name, kind in chosen.items():
        statistics = place.dataset.statistics(name) if given is None else Statistics(*given)
        steps[name] = Normalize(
            _by_channel(place, "mean", statistics.mean, name, kind),
            _by_channel(place, "std", tuple(deviation or 1.0 for deviation in statistics.std), name, kind),
        )
    return steps


def _by_channel(place: Place, argument: str, values: tuple[float, ...], name: str, kind: TensorType) -> Floats:
    """Values that broadcast against an example; a single one serves for all channels."""
    channels = kind.shape[0] if kind.rank == 3 else kind.shape[-1]
    if len(values) not in (1, channels):
        raise place.error(
            "E0711",
            f"'{argument}' of 'normalize' has {len(values)} numbers, '{name}' ({kind}) has {channels} channels",
            argument=argument,
        )
    return np.array(values, np.float32).reshape(-1, *(1,) * (2 if kind.rank == 3 else 0))


def _listed(types: Mapping[str, TensorType]) -> str:
    return ", ".join(f"{name}: {kind}" for name, kind in types.items())
