"""The inputs of ``graphdl predict``: images, arrays, tables and texts, read in the same way as in training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from graphdl.data.archives import field_of
from graphdl.data.dataset import Array, Origin, Sound, Table
from graphdl.data.feed import as_feed
from graphdl.data.numpy_files import read_npy, read_npz
from graphdl.data.parallel import encoded_lines
from graphdl.data.pictures import MODES, decode
from graphdl.data.reading import Reading
from graphdl.data.recordings import SUFFIXES as SOUNDS
from graphdl.data.recordings import predicted
from graphdl.data.text_tables import Row, is_number, read_columns, read_rows
from graphdl.data.texts import windows
from graphdl.data.vocabulary import Vocabulary, Writing
from graphdl.graph.types import TensorType
from graphdl.suggest import enumerated
from graphdl.training.fit import TrainingOptions, remembered
from graphdl.training.preprocessing import pipeline_of, sounds_of, tables_of, writings_of
from graphdl.training.sources import limit_of

if TYPE_CHECKING:
    from graphdl.model import Model
    from graphdl.training.run import RunFolder

_SEPARATORS = {".csv": ",", ".tsv": "\t"}
"""The separators of tables, if the run's data does not determine them."""


@dataclass(frozen=True)
class Ways:
    """How inputs were made in training: the columns of those from tables, the way and the vocabulary of those from
    text, and the way of those from recordings.
    """

    tables: Mapping[str, Table] = field(default_factory=dict)
    writings: Mapping[str, tuple[Writing, Vocabulary]] = field(default_factory=dict)
    sounds: Mapping[str, Sound] = field(default_factory=dict)


@dataclass(frozen=True)
class Inputs:
    """Arrays by input, with the examples as first dimension, and the number of examples in each file."""

    arrays: dict[str, np.ndarray]
    files: list[tuple[Path, int]]

    @property
    def names(self) -> Iterator[str]:
        """A name for each example."""
        for path, count in self.files:
            yield from [str(path)] if count == 1 else (f"{path}[{k}]" for k in range(count))


def prepare(paths: Sequence[Path], model: Model, folder: RunFolder | None, types: Mapping[str, TensorType]) -> Inputs:
    """The content of some files for a model, ready to be fed, with the preprocessing of the run's training data.

    ``types`` are the inputs that may be fed.

    Raises:
        ModelError: as ``read_inputs``; E0714 to E0717, the arrays do not fit the inputs; E0618, the run is damaged.
    """
    known: Mapping[str, Any] = folder.settings.get("inputs", {}) if folder is not None else {}
    request = TrainingOptions() if folder is None else remembered(folder, TrainingOptions())[0]
    pipeline = pipeline_of(known)
    wanted = {
        name: replace(kind, shape=tuple(known[name]["shape"])) if name in known else kind
        for name, kind in types.items()
    }
    limit = limit_of(model.stages(request.overrides))
    needed = {name: entry for name, entry in known.items() if name in types}
    writings = writings_of(needed, folder.settings.get("class_names", {}) if folder is not None else {})
    ways = Ways(tables_of(known), writings, sounds_of(needed))
    found = read_inputs(paths, wanted, Reading(limit=limit), ways)
    arrays = as_feed({name: kind for name, kind in wanted.items() if name in found.arrays}, found.arrays)
    return Inputs(pipeline.apply(arrays, training=False, seed=0, epoch=0, first=0), found.files)


def read_inputs(
    paths: Sequence[Path],
    types: Mapping[str, TensorType],
    reading: Reading,
    ways: Ways | None = None,
) -> Inputs:
    """The content of some files for a net.

    ``types`` are the inputs that the net's outputs need, with the shapes that files have. Images, tables and files with
    one array feed the net's only input of that kind; the arrays of an ``.npz`` file have names. A table with a header
    is matched to the training's columns by name, one without by position. A recording feeds all inputs that were made
    from recordings in training, and any other file that holds no arrays all inputs that were made from text.

    Raises:
        ModelError: E0704 or E0705, a file is missing or cannot be read; E0709, a table cannot be used; E0713, it is
            unclear which input a file feeds; E0714, the files do not fit each other; E0718, a file is too large.
    """
    parts: dict[str, list[np.ndarray]] = {}
    files: list[tuple[Path, int]] = []
    for path in paths:
        found = _read(path, types, reading, ways or Ways())
        for name, array in found.items():
            parts.setdefault(name, []).append(array)
        files.append((path, len(next(iter(found.values())))))
    try:
        return Inputs({name: np.concatenate(arrays) for name, arrays in parts.items()}, files)
    except ValueError as error:
        raise reading.error("E0714", f"the files hold arrays of different shapes ({error})") from error


def _read(path: Path, types: Mapping[str, TensorType], reading: Reading, ways: Ways) -> dict[str, np.ndarray]:
    kind = path.suffix.lower()
    if path.is_dir():
        raise reading.unreadable(path, "it is a folder", help=f"name the files in it: {path}/*")
    if kind == ".npz":
        return {name: _fed(reading, path, values, types.get(name)) for name, values in read_npz(reading, path).items()}
    if kind == ".npy":
        name = _only(types, path, reading, None)
        return {name: _fed(reading, path, read_npy(reading, path), types[name])}
    if ways.writings and not (ways.sounds and kind in SOUNDS):
        return _text(reading, path, ways.writings)
    if kind in _SEPARATORS and not ways.writings:
        name = _only(types, path, reading, 1)
        return {name: _table(reading, path, types[name], ways.tables.get(name), _SEPARATORS[kind])}
    if ways.sounds:
        return {name: predicted(reading, path, sound)[None] for name, sound in ways.sounds.items()}
    name = _only(types, path, reading, 3)
    return {name: _image(reading, path, types[name].shape)}


def _text(reading: Reading, path: Path, writings: Mapping[str, tuple[Writing, Vocabulary]]) -> dict[str, np.ndarray]:
    """A text: its windows, or an example for each line, as in training."""
    if any(writing.gives == "windows" for writing, _ in writings.values()):
        return {name: windows(reading, path, entries, writing) for name, (writing, entries) in writings.items()}
    return encoded_lines(reading, path, writings)


def _only(types: Mapping[str, TensorType], path: Path, reading: Reading, rank: int | None) -> str:
    fitting = [name for name, kind in types.items() if rank is None or (kind.rank == rank and kind.element == "float")]
    if len(fitting) != 1:
        inputs = ", ".join(f"{name}: {kind}" for name, kind in types.items())
        raise reading.error(
            "E0713",
            f"{path} could feed {'no input' if not fitting else 'several inputs'} of the net",
            notes=(f"its inputs are: {inputs}",),
            help="give an .npz file with an array for each input, by its name",
        )
    return fitting[0]


def _fed(reading: Reading, path: Path, values: Array, kind: TensorType | None) -> np.ndarray:
    """An array as training on an ``.npz`` file reads it: bytes of images become floats from 0 to 1."""
    values = np.atleast_1d(values)
    if kind is None or kind.element != "float":
        return values
    try:
        reading.require(4 * values.size, f"{path}: the array, as numbers of 32 bits,")
        return field_of(reading, values, Origin(path)).take(np.arange(len(values)))
    except ValueError as error:
        raise reading.unreadable(path, str(error)) from error


def _image(reading: Reading, path: Path, shape: tuple[int, ...]) -> np.ndarray:
    if shape[0] not in MODES:
        raise reading.error("E0714", f"{path}: an image has 1, 3 or 4 channels, the net wants {shape[0]}")
    return decode(reading, path, shape)[None]


def _table(reading: Reading, path: Path, kind: TensorType, known: Table | None, separator: str) -> np.ndarray:
    """The rows of a text table of numbers, [rows, columns]. Without a header, columns are matched by position."""
    rows = read_rows(reading, path, known.separator if known is not None else separator)
    head = next(rows, None)
    if head is None:
        raise reading.error("E0709", f"{path} has no rows")
    trained = known.columns if known is not None else ()
    names = tuple(cell.strip() for cell in head.cells)
    is_matched = bool(trained) and set(trained) <= set(names)
    if not is_matched and all(map(is_number, names)):
        names = tuple(map(str, range(len(names))))
        return _numbers(reading, path, chain([head], rows), names, _counted(reading, path, names, kind))
    if not is_matched and any(map(is_number, names)):
        cell = next(name for name in names if not is_number(name))
        raise reading.error(
            "E0709", f"{path}, line {head.line}: '{cell}' is no finite number, and others are: this is no header"
        )
    if not trained:
        return _numbers(reading, path, rows, names, _counted(reading, path, names, kind))
    places: dict[str, list[int]] = {}
    for index, name in enumerate(names):
        places.setdefault(name, []).append(index)
    missing = [name for name in trained if name not in places]
    if missing:
        raise reading.error(
            "E0709",
            f"{path} has no column '{missing[0]}', which the net was trained on",
            notes=[f"it was trained on: {enumerated(trained)}", f"found: {enumerated(names)}"],
        )
    double = [name for name in trained if len(places[name]) > 1]
    if double:
        raise reading.error("E0709", f"{path} has two columns '{double[0]}'")
    return _numbers(reading, path, rows, names, [places[name][0] for name in trained])


def _counted(reading: Reading, path: Path, names: Sequence[str], kind: TensorType) -> range:
    """All columns. Raises ModelError unless their number is that of the input."""
    if len(names) != kind.shape[0]:
        raise reading.error("E0714", f"{path} has {len(names)} columns, the net was trained on {kind.shape[0]}")
    return range(len(names))


def _numbers(
    reading: Reading, path: Path, rows: Iterator[Row], names: Sequence[str], chosen: Sequence[int]
) -> np.ndarray:
    return read_columns(reading, path, rows, names, chosen).values
