"""All augmentations of a train section, one after the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from graphdl.data.augmentations import augmentation
from graphdl.data.augmentations.step import AugmentationStep, Fixed, Place
from graphdl.data.dataset import Array, DataSet
from graphdl.data.draws import uniform
from graphdl.graph.train import Setting
from graphdl.graph.types import TensorType


@dataclass(frozen=True)
class Pipeline:
    """All steps in the order of the file: for each setting, a step for each field that it applies to.

    The fields of an example share the random numbers of a setting: an image and its mask stay aligned.
    """

    stages: tuple[Mapping[str, AugmentationStep], ...] = ()

    def types(self, before: Mapping[str, TensorType]) -> dict[str, TensorType]:
        """The types of the fields after all steps."""
        types = dict(before)
        for stage in self.stages:
            for name, step in stage.items():
                types[name] = step.type(types[name])
        return types

    def apply(self, arrays: dict[str, Array], *, training: bool, seed: int, epoch: int, first: int) -> dict[str, Array]:
        """The batch after all steps. ``first`` is the position of its first example in the epoch's order.

        Fields that ``arrays`` lacks are skipped. The arrays may be changed.
        """
        if not training:
            return self._predicted(arrays)
        for number, stage in enumerate(self.stages):
            for name, step in stage.items():
                if name in arrays:
                    values = arrays[name]
                    arrays[name] = step.apply(values, uniform(seed, epoch, 1 + number, first, len(values)))
        return arrays

    def _predicted(self, arrays: dict[str, Array]) -> dict[str, Array]:
        for stage in self.prediction():
            for name, fixed in stage.items():
                if name in arrays:
                    arrays[name] = fixed.transform(arrays[name])
        return arrays

    def prediction(self) -> list[dict[str, Fixed]]:
        """The steps that replace these outside of training."""
        return [
            {name: fixed for name, step in stage.items() if (fixed := step.prediction()) is not None}
            for stage in self.stages
        ]


def pipeline(settings: Sequence[Setting], dataset: DataSet) -> Pipeline:
    """The ``augment`` settings of a train section, for a data set.

    Raises:
        ModelError: E0702, E0703, E0710 or E0711, a setting is unknown or ill-formed, or does not fit the data.
    """
    stages: list[Mapping[str, AugmentationStep]] = []
    for setting in settings:
        make = augmentation(setting)
        stages.append(make(Place(setting, dataset, Pipeline(tuple(stages)).types(dataset.types))))
    return Pipeline(tuple(stages))
