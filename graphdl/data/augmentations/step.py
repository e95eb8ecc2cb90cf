"""The interface of the steps of augmentations."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from graphdl.graph.types import TensorType
from graphdl.settings import SettingCall

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from graphdl.data.dataset import DataSet

    Floats = NDArray[np.float32]
    Draws = NDArray[np.float64]
    """``[examples, 4]``, each in [0, 1)."""


class AugmentationStep(ABC):
    """One setting of ``augment``, applied to one field."""

    def type(self, before: TensorType) -> TensorType:
        """The type of the field after the step, in training and outside of it."""
        return before

    @abstractmethod
    def apply(self, values: Floats, draws: Draws) -> Floats:
        """The batch after the step, in training. ``values`` may be changed."""

    @abstractmethod
    def prediction(self) -> Fixed | None:
        """The step that replaces this one outside of training: in an evaluation, and in the predictions of a run.

        None is allowed only for a random step that keeps the type and may leave an example unchanged.
        """


class Fixed(AugmentationStep):
    """A step without randomness, the same in training and outside of it. A run stores it for predictions."""

    kinds: ClassVar[dict[str, type[Fixed]]] = {}
    """All such steps, by the names that runs store."""
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
        """The batch after the step. ``values`` may be changed."""

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """The settings that recreate the step, as JSON. The key ``name`` is reserved."""

    @classmethod
    @abstractmethod
    def of_settings(cls, settings: Mapping[str, Any]) -> Fixed:
        """The step with these settings.

        Raises:
            KeyError: a setting is missing.
            TypeError: a setting is of the wrong kind.
            ValueError: a setting is out of range.
        """

    def described(self) -> dict[str, Any]:
        """The name and the settings of the step as JSON, for ``restored``."""
        return {"name": self.name, **self.settings()}


@dataclass(frozen=True)
class Place(SettingCall):
    """A setting of ``augment``, and the types of the fields before its step."""

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
                notes=[f"its fields are: {listed(self.types)}"],
            )
        return images


def listed(types: Mapping[str, TensorType]) -> str:
    """The fields and their types, for a message."""
    return ", ".join(f"{name}: {kind}" for name, kind in types.items())


class Maker(Protocol):
    """Makes an augmentation's step for each field that it applies to."""

    def __call__(self, place: Place) -> dict[str, AugmentationStep]: ...
