"""NumPy's arrays as data sets: archives of named ones, and files of single ones."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from graphdl.data.dataset import Array, ArrayField, DataSet, Field, Origin, Split, numbers, pixels
from graphdl.data.mapped import MappedField, mapped
from graphdl.data.numpy_files import open_npy, read_npz
from graphdl.data.reading import Reading
from graphdl.data.request import DataRequest
from graphdl.suggest import enumerated

_SPLITS = ("train", "test", "validation")


def npz(request: DataRequest, file: str, test: float) -> DataSet:
    """See ``graphdl.data.declared``."""
    path = request.place(file, "file", Path.is_file)
    arrays = {name: (path, values) for name, values in read_npz(request.reading, path, may_map=True).items()}
    return _loaded(request, path.stem, arrays, test)


def npy(request: DataRequest, files: Mapping[str, str], test: float) -> DataSet:
    """See ``graphdl.data.declared``. ``files`` maps the names of fields to files."""
    arrays = {}
    for name, file in files.items():
        path = request.place(file, name, Path.is_file)
        arrays[name] = path, open_npy(request.reading, path)
    return _loaded(request, "npy", arrays, test)


def _loaded(request: DataRequest, name: str, arrays: Mapping[str, tuple[Path, Array]], test: float) -> DataSet:
    """A data set of arrays by name, each with its file. A name may be that of a field in a split."""
    parts: dict[str, dict[str, Field]] = {}
    for key, (path, values) in arrays.items():
        split, field = _named(key)
        if values.ndim == 0 or not len(values):
            raise request.error("E0707", f"{path}: '{key}' holds no examples: its shape is {list(values.shape)}")
        if field in parts.get(split, {}):
            raise request.error("E0707", f"{path}: two arrays are the field '{field}' of the split '{split}'")
        try:
            made = field_of(request.reading, values, Origin(path, f"'{key}', example"))
        except ValueError as error:
            raise request.error("E0707", f"{path}: '{key}' cannot be fed: {error}") from error
        parts.setdefault(split, {})[field] = made
    paths = list(dict.fromkeys(path for path, _ in arrays.values()))
    _check(request, " and ".join(map(str, paths)), parts)
    splits = {split: Split(split, fields) for split, fields in parts.items() if split}
    if "" in parts:
        everything = Split("train", parts[""])
        if test:
            splits["train"], splits["test"] = request.divide(everything, test, "test")
        else:
            splits["train"] = everything
    return DataSet(name, splits, span=request.setting.span, files=paths)


def _named(key: str) -> tuple[str, str]:
    """The split and the field of an array's name. The split is empty if the name has none."""
    for split in _SPLITS:
        if key.startswith(f"{split}_"):
            return split, key.removeprefix(f"{split}_")
        if key.endswith(f"_{split}"):
            return split, key.removesuffix(f"_{split}")
    return "", key


def field_of(reading: Reading, values: Array, origin: Origin) -> ArrayField | MappedField:
    """A field from an array with the examples as first dimension. That of a mapped array is not in memory.

    Arrays of bytes of rank 3 or more are pixels, read as floats from 0 to 1.

    Raises:
        ValueError: the elements cannot be fed.
        ModelError: E0718, as 32-bit numbers they take too much memory.
    """
    if isinstance(values, np.memmap):
        return mapped(reading, values, origin)
    if values.dtype == np.uint8 and values.ndim >= 3:
        return pixels(values, origin=origin)
    reading.require(4 * values.size, f"{origin.path}: an array of {list(values.shape)} numbers of 32 bits")
    return numbers(values, origin)


def _check(request: DataRequest, path: str, parts: Mapping[str, Mapping[str, Field]]) -> None:
    """Checks that all arrays of a split have the same length, and that all splits have the same fields."""
    if "" in parts and len(parts) > 1:
        raise request.error(
            "E0707",
            f"{path}: some arrays name a split, these do not: {enumerated(parts[''])}",
            help="call them train_… and test_…",
        )
    if "" not in parts and "train" not in parts:
        raise request.error("E0707", f"{path} has no training arrays", help="call them train_…")
    reference = parts.get("", parts.get("train", {}))
    for split, fields in parts.items():
        lengths = {name: len(field) for name, field in fields.items()}
        if len(set(lengths.values())) > 1:
            counts = enumerated(f"'{name}' has {length}" for name, length in lengths.items())
            raise request.error("E0707", f"{path}: the arrays differ in their number of examples: {counts}")
        for name in sorted(reference.keys() | fields.keys()):
            if name not in fields or name not in reference:
                where = f"'{split}'" if name not in fields else "'train'"
                raise request.error("E0707", f"{path}: split {where} has no array for the field '{name}'")
            if fields[name].type != reference[name].type:
                raise request.error(
                    "E0707",
                    f"{path}: '{name}' is {fields[name].type} in split '{split}', {reference[name].type} in 'train'",
                )
