"""What a run remembers of its data, so that a prediction needs none: fields, normalization, names of classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from graphdl.data import augment
from graphdl.data.augment import Crop, Normalize, Pipeline, Step
from graphdl.data.dataset import DataSet
from graphdl.diagnostics import Diagnostic, ModelError
from graphdl.training.stages import Stage


def describe(stage: Stage, dataset: DataSet, inputs: Sequence[str]) -> dict[str, Any]:
    """JSON: for each input that a field feeds its shape in the data set and what is done to it outside of training,
    and the names of the classes by field."""
    pipeline = augment.pipeline(stage.augment, dataset)
    fields = {name: stage.feed.get(name, name) for name in inputs}
    return {
        "inputs": {
            name: {
                "field": field,
                "shape": list(dataset.types[field].shape),
                "steps": [
                    described
                    for steps in pipeline.stages
                    if field in steps and (described := _described(steps[field])) is not None
                ],
            }
            for name, field in fields.items()
            if field in dataset.types
        },
        "class_names": {field: list(names) for field, names in dataset.class_names.items()},
    }


def pipeline_of(described: Mapping[str, Any]) -> Pipeline:
    """The steps that ``describe`` wrote down, by input.

    Raises:
        ModelError: E0618, they are damaged.
    """
    stages: list[Mapping[str, Step]] = []
    try:
        for name, known in described.items():
            stages.extend({name: _step(step)} for step in known["steps"])
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(Diagnostic("E0618", f"the run's settings of its inputs are damaged ({error})")) from error
    return Pipeline(tuple(stages))


def _described(step: Step) -> dict[str, Any] | None:
    match step:
        case Crop():
            return {"name": "crop", "size": [step.height, step.width], "pad": step.pad}
        case Normalize():
            return {"name": "normalize", "mean": step.mean.tolist(), "std": step.std.tolist()}
        case _:
            return None


def _step(described: Mapping[str, Any]) -> Step:
    if described["name"] == "crop":
        height, width = described["size"]
        return Crop(int(height), int(width), int(described["pad"]))
    return Normalize(np.array(described["mean"], np.float32), np.array(described["std"], np.float32))
