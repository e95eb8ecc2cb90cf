"""Flips: images mirrored left to right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from graphdl.data.augmentations.step import AugmentationStep, Maker, Place
from graphdl.settings import SettingCall

if TYPE_CHECKING:
    from graphdl.data.augmentations.step import Draws, Floats


@dataclass(frozen=True)
class Flip(AugmentationStep):
    """Mirrors images [c, h, w] left to right with probability ``p``."""

    p: float

    def apply(self, values: Floats, draws: Draws) -> Floats:
        chosen = draws[:, 0] < self.p
        values[chosen] = values[chosen, :, :, ::-1]
        return values

    def prediction(self) -> None:
        return None


def flip(call: SettingCall, p: float = 0.5) -> Maker:
    """``flip``: mirrored left to right with probability ``p``."""
    if not 0 <= p <= 1:
        raise call.error("E0703", f"'p' of 'flip' is a probability, found {p}", argument="p")

    def make(place: Place) -> dict[str, AugmentationStep]:
        return {name: Flip(p) for name in place.needs_images()}

    return make
