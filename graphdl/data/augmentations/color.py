"""Colors: brightness, contrast and saturation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from graphdl.data.augmentations.step import AugmentationStep, Maker, Place
from graphdl.settings import SettingCall

if TYPE_CHECKING:
    from graphdl.data.augmentations.step import Draws, Floats


@dataclass(frozen=True)
class Color(AugmentationStep):
    """Scales brightness, contrast and saturation of images [c, h, w], in this order, each by a factor near 1.

    A factor is uniform in ``1 ± amount``. Contrast is scaled about the image's mean, saturation about each pixel's.
    """

    brightness: float
    contrast: float
    saturation: float

    def apply(self, values: Floats, draws: Draws) -> Floats:
        import numpy as np

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


def color(call: SettingCall, brightness: float = 0.0, contrast: float = 0.0, saturation: float = 0.0) -> Maker:
    """``color(brightness = 0.4, contrast = 0.4, saturation = 0.4)``: random factors in 1 ± amount."""
    for name, amount in (("brightness", brightness), ("contrast", contrast), ("saturation", saturation)):
        if not 0 <= amount <= 1:
            raise call.error("E0703", f"'{name}' of 'color' must be from 0 to 1, found {amount}", argument=name)

    def make(place: Place) -> dict[str, AugmentationStep]:
        return {name: Color(brightness, contrast, saturation) for name in place.needs_images()}

    return make
