"""Data sets that need no file: scikit-learn's own, tables written in the model file, and noise for benchmarks."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphdl.data.dataset import DataSet, Field, Split, divide, labels, noise_bytes, numbers, pixels
from graphdl.data.request import Request
from graphdl.settings import written

_TEST_FRACTION = 0.2


def digits(request: Request) -> DataSet:
    """Small handwritten digits: ``image`` [1, 8, 8] from 0 to 1, ``label`` class(10).

    The 1,797 examples of scikit-learn's ``load_digits`` (the test part of Alpaydin and Kaynak's set, 1998). A fixed
    fifth of each class, 359 examples in all, is the test split.
    """
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images = np.ascontiguousarray(bunch.images[:, None], np.uint8)
    return _divided(request, {"image": pixels(images, divisor=16.0), "label": labels(bunch.target, 10)})


def iris(request: Request) -> DataSet:
    """Fisher's irises (1936): ``x`` [4] in centimetres, ``label`` class(3); 120 examples, and 30 for testing.

    The first class is setosa. A fixed fifth of each class is the test split.
    """
    from sklearn.datasets import load_iris

    bunch = load_iris()
    names = {"label": tuple(map(str, bunch.target_names))}
    return _divided(request, {"x": numbers(bunch.data), "label": labels(bunch.target, 3)}, names)


def _divided(
    request: Request, fields: dict[str, Field], class_names: dict[str, tuple[str, ...]] | None = None
) -> DataSet:
    train, test = divide(Split("train", fields), _TEST_FRACTION, "test", stratify="label")
    return DataSet(request.setting.name, {"train": train, "test": test}, class_names or {}, span=request.setting.span)


def table(request: Request, **fields: object) -> DataSet:
    """Examples written out: ``table(x = [[0, 0], [0, 1]], label = [0, 1])``; each name is a field.

    The splits ``train`` and ``test`` are both all of them: for truth tables and other functions of few inputs.
    """
    if not fields:
        raise request.error("E0702", "'table' needs a field", help="table(x = [[0, 1], [1, 0]], y = [0, 1])")
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


def noise(
    request: Request, shape: list[int], classes: int = 1000, train: int = 256, test: int = 64, seed: int = 0
) -> DataSet:
    """For timing: random bytes as ``image`` of a shape, from 0 to 1; ``label`` class(classes), each in turn."""
    for name, value in (("classes", classes), ("train", train), ("test", test), *(("shape", size) for size in shape)):
        if value < 1:
            raise request.error("E0703", f"'{name}' of 'noise' must be positive, found {value}", argument=name)
    splits = {}
    for number, (split, count) in enumerate((("train", train), ("test", test))):
        images = noise_bytes((count, *shape), 2 * seed + number)
        kinds = np.arange(count) % classes
        splits[split] = Split(split, {"image": pixels(images), "label": labels(kinds, classes)})
    return DataSet("noise", splits, span=request.setting.span)
