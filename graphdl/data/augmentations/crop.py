"""Crops: windows of an image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from graphdl.data.arguments import two
from graphdl.data.augmentations.step import AugmentationStep, Fixed, Maker, Place
from graphdl.graph.types import TensorType
from graphdl.settings import SettingCall

if TYPE_CHECKING:
    from graphdl.data.augmentations.step import Draws, Floats


@dataclass(frozen=True)
class Crop(AugmentationStep):
    """A random window of ``height`` × ``width`` from images [c, h, w] that are padded with ``pad``
    zeros on each side.
    """

    height: int
    width: int
    pad: int

    def type(self, before: TensorType) -> TensorType:
        return TensorType((before.shape[0], self.height, self.width))

    def apply(self, values: Floats, draws: Draws) -> Floats:
        import numpy as np

        windows = _windows(values, self.height, self.width, self.pad)
        top = (draws[:, 0] * windows.shape[2]).astype(np.intp)
        left = (draws[:, 1] * windows.shape[3]).astype(np.intp)
        return windows[np.arange(len(values)), :, top, left]

    def prediction(self) -> CentreCrop:
        return CentreCrop(self.height, self.width, self.pad)


@dataclass(frozen=True)
class CentreCrop(Fixed, name="crop"):
    """The window at the centre of the padded image."""

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
    import numpy as np
    from numpy.lib.stride_tricks import sliding_window_view

    padded = np.pad(values, ((0, 0), (0, 0), (pad, pad), (pad, pad))) if pad else values
    return sliding_window_view(padded, (height, width), axis=(2, 3))


def crop(call: SettingCall, size: int | list[int], pad: int = 0) -> Maker:
    """``crop(32, pad = 4)``: a random window; outside of training, the window at the centre."""
    height, width = two(call, "size", size)
    if pad < 0:
        raise call.error("E0703", f"'pad' of 'crop' must not be negative, found {pad}", argument="pad")
    if pad >= min(height, width):
        raise call.error(
            "E0703",
            f"'pad' of 'crop' must be less than the size, found {pad}: a window could miss the image",
            argument="pad",
        )

    def make(place: Place) -> dict[str, AugmentationStep]:
        for name, kind in place.needs_images().items():
            if kind.shape[1] + 2 * pad < height or kind.shape[2] + 2 * pad < width:
                raise place.error(
                    "E0711",
                    f"crop([{height}, {width}], pad = {pad}) does not fit into '{name}', which is {kind}",
                    help=f"pad by at least {-(-max(height - kind.shape[1], width - kind.shape[2]) // 2)}",
                )
        return {name: Crop(height, width, pad) for name in place.images()}

    return make
