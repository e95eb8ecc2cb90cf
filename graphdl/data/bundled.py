"""Data sets without files: scikit-learn's own, tables written in the model file, and noise for benchmarks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import numpy as np

from graphdl.data.dataset import DataSet, Field, Split, labels, noise_bytes, numbers, pixels
from graphdl.data.request import DataRequest
from graphdl.settings import written

_TEST_FRACTION = 0.2


def digits(request: DataRequest) -> DataSet:
    """See ``graphdl.data.declared``."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images = np.ascontiguousarray(bunch.images[:, None], np.uint8)
    return _divided(request, {"image": pixels(images, divisor=16.0), "label": labels(bunch.target, 10)})


def iris(request: DataRequest) -> DataSet:
    """See ``graphdl.data.declared``."""
    from sklearn.datasets import load_iris

    bunch = load_iris()
    names = {"label": tuple(map(str, bunch.target_names))}
    return _divided(request, {"x": numbers(bunch.data), "label": labels(bunch.target, 3)}, names)


def _divided(
    request: DataRequest, fields: dict[str, Field], class_names: dict[str, tuple[str, ...]] | None = None
) -> DataSet:
    train, test = request.divide(Split("train", fields), _TEST_FRACTION, "test", stratify="label")
    return DataSet(request.setting.name, {"train": train, "test": test}, class_names or {}, span=request.setting.span)


def table(request: DataRequest, fields: Mapping[str, object]) -> DataSet:
    """See ``graphdl.data.declared``."""
    columns: dict[str, Field] = {}
    for name, value in fields.items():
        try:
            array: np.ndarray[Any, Any] = np.array(value)
            if array.ndim == 0 or array.size == 0:
                raise ValueError("a list of examples is expected")
            columns[name] = numbers(array)
        except ValueError as error:
            raise request.error(
                "E0703",
                f"'{name}' of 'table' must be a list of numbers, or of lists of one shape, found {written(value)}",
                argument=name,
            ) from error
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        counts = ", ".join(f"'{name}' has {length}" for name, length in lengths.items())
        raise request.error("E0707", f"the fields of 'table' differ in their number of examples: {counts}")
    return DataSet("table", {split: Split(split, columns) for split in ("train", "test")}, span=request.setting.span)


def noise(request: DataRequest, shape: Sequence[int], classes: int, counts: Mapping[str, int], seed: int) -> DataSet:
    """See ``graphdl.data.declared``. ``counts`` is the number of examples of each split."""
    request.reading.require(prod(shape) * max(counts.values()), "what 'noise' makes")
    splits = {}
    for number, (split, count) in enumerate(counts.items()):
        images = noise_bytes((count, *shape), 2 * seed + number)
        kinds = np.arange(count) % classes
        splits[split] = Split(split, {"image": pixels(images), "label": labels(kinds, classes)})
    return DataSet("noise", splits, span=request.setting.span)
