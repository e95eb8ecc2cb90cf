"""A batch on which a model is measured: of its data if that is available, else random."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from graphdl.data.batches import Batches
from graphdl.data.known import Known
from graphdl.data.pipeline import pipeline
from graphdl.diagnostics import Diagnostic, ModelError
from graphdl.graph.types import TensorType
from graphdl.training.network import Network
from graphdl.training.sources import loader
from graphdl.training.stages import Overrides, stages


@dataclass(frozen=True)
class Sample:
    """Arrays by input, and a description of their origin."""

    arrays: Mapping[str, np.ndarray]
    origin: str


def sample(
    network: Network, count: int, overrides: Overrides | None = None, *, root: Path | None = None,
    origin: Path | None = None, known: Mapping[str, Known] | None = None,
) -> Sample:  # fmt: skip
    """The first ``count`` training examples of the data that the file or ``overrides`` name.

    Without data, or if the data of the file is missing, the examples are random: normal numbers, and uniformly drawn
    classes. ``known`` has the facts that a run stores about the data of its stages, by stage name.

    Raises:
        ModelError: the data that ``overrides`` name is missing or does not fit.
    """
    inputs = {name: value.type for name, value in network.training.inputs.items()}
    stage = next((stage for stage in stages(network.training, overrides) if stage.data is not None), None)
    if stage is not None:
        try:
            dataset = loader(root=root, origin=origin, known=known)(stage)
            batches = Batches(
                dataset, "train", inputs, batch=count, training=False,
                augment=pipeline(stage.augment, dataset), feed=stage.feed,
            )  # fmt: skip
            return Sample(batches.get(0, 0).arrays, f"{count} example{'s' * (count != 1)} of {dataset.name}")
        except ModelError:
            if overrides is not None and overrides.data is not None:
                raise
    return Sample(made_up(inputs, count, network.seed), f"{count} made-up example{'s' * (count != 1)}")


def examples(
    network: Network, overrides: Overrides, split: str, first: int, count: int | None, *, root: Path | None = None,
    origin: Path | None = None, download: bool = False, known: Mapping[str, Known] | None = None,
) -> dict[str, np.ndarray]:  # fmt: skip
    """``count`` examples of a split from number ``first`` on, or all, as inputs of the net in inference.

    Inputs for which the data of the file or of ``overrides`` has no field are left out.

    Raises:
        ModelError: there is no data or no such split, it does not fit, or it has no example ``first`` (E0712).
    """
    found = stages(network.training, overrides)
    stage = next((stage for stage in reversed(found) if stage.data is not None), found[-1])
    dataset = loader(root=root, download=download, origin=origin, split=split, known=known)(stage)
    augment = pipeline(stage.augment, dataset)
    size = len(dataset.split(split))
    rows = np.arange(first, size if count is None else min(size, first + count))
    if not len(rows):
        message = f"the split '{split}' of '{dataset.name}' has no example {first}, but {size} examples"
        raise ModelError(Diagnostic("E0712", message))
    fields = augment.types(dataset.types)
    inputs = {n: v.type for n, v in network.inference.inputs.items() if stage.feed.get(n, n) in fields}
    part = replace(dataset, splits={split: dataset.split(split).select(rows, split)})
    feed = {name: field for name, field in stage.feed.items() if name in inputs}
    batches = Batches(part, split, inputs, batch=len(rows), training=False, augment=augment, feed=feed)
    return dict(batches.get(0, 0).arrays)


def made_up(inputs: Mapping[str, TensorType], count: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Random arrays that fit the inputs."""
    random = np.random.default_rng(seed)
    arrays: dict[str, np.ndarray] = {}
    for name, kind in inputs.items():
        shape = (count, *kind.shape)
        if kind.element == "float":
            arrays[name] = random.standard_normal(shape, np.float32)
        elif kind.element == "bool":
            arrays[name] = random.random(shape) < 0.5
        else:
            arrays[name] = random.integers(0, kind.classes or 2, shape, np.int32)
    return arrays
