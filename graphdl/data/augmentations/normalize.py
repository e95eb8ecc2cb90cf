"""Normalization: subtraction of the mean and division by the standard deviation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from graphdl.data.augmentations.step import AugmentationStep, Fixed, Maker, Place, listed
from graphdl.graph.types import TensorType
from graphdl.settings import SettingCall

if TYPE_CHECKING:
    from graphdl.data.augmentations.step import Floats


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
        import numpy as np

        return cls(np.array(settings["mean"], np.float32), np.array(settings["std"], np.float32))


def normalize(
    call: SettingCall, mean: float | list[float] | None = None, std: float | list[float] | None = None
) -> Maker:
    """``normalize(mean = [...], std = [...])``: for each channel of images, or along the last dimension of float
    fields.

    Without arguments, the statistics are the data set's published ones, or those of its training split. A deviation of
    zero counts as one.
    """
    if (mean is None) != (std is None):
        raise call.error("E0702", "'normalize' takes both 'mean' and 'std', or neither")
    given = None if mean is None or std is None else (_each(mean), _each(std))
    if given is not None and min(given[1], default=0.0) <= 0:
        raise call.error("E0703", "'std' of 'normalize' must be positive", argument="std")

    def make(place: Place) -> dict[str, AugmentationStep]:
        from graphdl.data.dataset import Statistics

        chosen = place.images() or {
            name: kind for name, kind in place.types.items() if kind.element == "float" and kind.rank > 0
        }
        if not chosen:
            raise place.error(
                "E0711",
                f"'normalize' needs a field of floats; '{place.dataset.name}' has none",
                notes=[f"its fields are: {listed(place.types)}"],
            )
        steps: dict[str, AugmentationStep] = {}
        for name, kind in chosen.items():
            statistics = place.dataset.statistics(name) if given is None else Statistics(*given)
            steps[name] = Normalize(
                _by_channel(place, "mean", statistics.mean, name, kind),
                _by_channel(place, "std", tuple(deviation or 1.0 for deviation in statistics.std), name, kind),
            )
        return steps

    return make


def _by_channel(place: Place, argument: str, values: tuple[float, ...], name: str, kind: TensorType) -> Floats:
    """Values that broadcast against an example. A single value is used for all channels."""
    import numpy as np

    channels = kind.shape[0] if kind.rank == 3 else kind.shape[-1]
    if len(values) not in (1, channels):
        raise place.error(
            "E0711",
            f"'{argument}' of 'normalize' has {len(values)} numbers, '{name}' ({kind}) has {channels} channels",
            argument=argument,
        )
    return np.array(values, np.float32).reshape(-1, *(1,) * (2 if kind.rank == 3 else 0))


def _each(value: float | list[float]) -> tuple[float, ...]:
    return tuple(value) if isinstance(value, list | tuple) else (value,)
