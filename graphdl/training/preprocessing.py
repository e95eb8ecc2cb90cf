"""The data settings that a run stores: those that a prediction needs, and those that keep a resumed run's data the
same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from graphdl.data.augmentations import restored
from graphdl.data.augmentations.step import AugmentationStep
from graphdl.data.dataset import DataSet, Sound, Table
from graphdl.data.known import Known
from graphdl.data.pipeline import Pipeline, pipeline
from graphdl.data.vocabulary import Vocabulary, Writing
from graphdl.diagnostics import Diagnostic, ModelError
from graphdl.training.stages import Stage


def describe(stage: Stage, dataset: DataSet, inputs: Sequence[str]) -> dict[str, Any]:
    """The preprocessing of the inputs as JSON, and the names of the classes by field.

    For each input that a field feeds: its shape in the data set, its steps outside of training, its columns in a
    table, and the way in which it was made from text or from recordings.
    """
    fixed = pipeline(stage.augment, dataset).prediction()
    fields = {name: stage.feed.get(name, name) for name in inputs}
    return {
        "inputs": {
            name: {
                "field": field,
                "shape": list(dataset.types[field].shape),
                "steps": [steps[field].described() for steps in fixed if field in steps],
                **_described(dataset.tables.get(field)),
                **_made("writing", dataset.writings.get(field)),
                **_made("sound", dataset.sounds.get(field)),
            }
            for name, field in fields.items()
            if field in dataset.types
        },
        "class_names": {field: list(names) for field, names in dataset.class_names.items()},
    }


def _described(table: Table | None) -> dict[str, Any]:
    return {} if table is None else {"table": {"columns": list(table.columns), "separator": table.separator}}


def _made(key: str, way: Writing | Sound | None) -> dict[str, Any]:
    return {} if way is None else {key: asdict(way)}


def pipeline_of(described: Mapping[str, Any]) -> Pipeline:
    """The steps that ``describe`` stored, by input. Each was tried on an example of zeros.

    Raises:
        ModelError: E0618, the stored steps are damaged.
    """
    stages: list[Mapping[str, AugmentationStep]] = []
    for name, known in described.items():
        try:
            values = np.zeros((1, *known["shape"]), np.float32)
            for step in map(restored, known["steps"]):
                values = step.transform(values)
                stages.append({name: step})
        except (KeyError, TypeError, ValueError, OverflowError, MemoryError) as error:
            reason = f"the run's settings of its input '{name}' are damaged ({error})"
            raise ModelError(Diagnostic("E0618", reason)) from error
    return Pipeline(tuple(stages))


def tables_of(described: Mapping[str, Any]) -> dict[str, Table]:
    """The columns of the inputs in tables, as stored by ``describe``."""
    return {
        name: Table(tuple(table["columns"]), table["separator"])
        for name, known in described.items()
        if (table := known.get("table")) is not None
    }


def writings_of(
    described: Mapping[str, Any], class_names: Mapping[str, Sequence[str]]
) -> dict[str, tuple[Writing, Vocabulary]]:
    """The way in which each input was made from text, and its vocabulary, as stored by ``describe``.

    Raises:
        ModelError: E0618, the run does not have the vocabulary.
    """
    found = {}
    for name, known in described.items():
        if known.get("writing") is None:
            continue
        writing = Writing(**known["writing"])
        if writing.vocabulary not in class_names:
            reason = f"the run's settings have no vocabulary '{writing.vocabulary}', which its input '{name}' needs"
            raise ModelError(Diagnostic("E0618", reason))
        found[name] = writing, Vocabulary(tuple(class_names[writing.vocabulary]))
    return found


def sounds_of(described: Mapping[str, Any]) -> dict[str, Sound]:
    """The way in which each input was made from recordings, as stored by ``describe``."""
    return {name: Sound(**known["sound"]) for name, known in described.items() if known.get("sound") is not None}


def remember(dataset: DataSet) -> dict[str, Any]:
    """The names of the classes and columns of a stage's data as JSON, by field; see ``Known``."""
    columns = {field: list(table.columns) for field, table in dataset.tables.items() if table.columns}
    return {
        "class_names": {field: list(names) for field, names in dataset.class_names.items()},
        "columns": columns,
    }


def known_of(remembered: Mapping[str, Mapping[str, Any]]) -> dict[str, Known]:
    """Maps the names of the stages to what ``remember`` stored of their data."""
    return {name: Known(data.get("class_names", {}), data.get("columns", {})) for name, data in remembered.items()}
