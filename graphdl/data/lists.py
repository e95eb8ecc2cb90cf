"""Lists of examples as data sets: JSON lines or text tables whose cells are numbers, classes, or names of pictures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from graphdl import strict_json
from graphdl.data.classes import class_numbers, classes
from graphdl.data.dataset import DataSet, Field, Origin, Split, Statistics, labels, numbers, stratum
from graphdl.data.folders import IMAGENET, ImageFiles
from graphdl.data.pictures import SUFFIXES
from graphdl.data.reading import Reading
from graphdl.data.request import DataRequest
from graphdl.data.text_tables import is_number, number, read_rows, shortened
from graphdl.data.texts import read_text
from graphdl.graph.types import TensorType
from graphdl.settings import written
from graphdl.suggest import did_you_mean, enumerated

_BYTES_PER_CHARACTER = 32
"""The memory for the entries, for each byte of the file."""
_SEPARATORS = {".csv": ",", ".tsv": "\t"}
"""The endings of text tables. All other files have an object of JSON on each line."""
_SHOWN = 12
"""The greatest number of keys in a message."""


@dataclass(frozen=True)
class _Entries:
    """The entries of a file, and their lines."""

    path: Path
    lines: list[int]
    values: list[Mapping[str, Any]]


def catalog(
    request: DataRequest,
    file: str,
    fields: Mapping[str, str],
    shape: tuple[int, int, int],
    dir: str | None,
    test: float | str,
) -> DataSet:
    """See ``graphdl.data.declared``. ``fields`` maps the names of fields to keys of the file."""
    first = _read(request, file, "file")
    files = [first]
    if isinstance(test, str):
        files.append(_read(request, test, "test"))
    class_names: dict[str, tuple[str, ...]] = {}
    published: dict[str, Statistics] = {}
    parts: list[Split] = []
    for each in files:
        made: dict[str, Field] = {}
        for name, key in fields.items():
            column = _column(request, each, name, key)
            before = parts[0].fields[name].type if parts else None
            made[name] = _field(request, each, name, column, shape, dir, class_names, before)
        published |= {name: IMAGENET[shape[0]] for name, values in made.items() if isinstance(values, ImageFiles)}
        parts.append(Split("train", made, _properties(request, each)))
    for name, values in parts[0].fields.items():
        if values.type != parts[-1].fields[name].type:
            raise request.error(
                "E0707",
                f"'{name}' is {values.type} in {files[0].path}, {parts[-1].fields[name].type} in {files[-1].path}",
                argument="test",
            )
    splits = {"train": parts[0]}
    if len(parts) == 2:
        splits["test"] = Split("test", parts[1].fields, parts[1].properties)
    elif test:
        splits["train"], splits["test"] = request.divide(parts[0], float(test), "test", stratum(parts[0]))
    return DataSet(
        first.path.name.partition(".")[0],
        splits,
        class_names,
        published,
        span=request.setting.span,
        files=[each.path for each in files],
    )


def _read(request: DataRequest, file: str, argument: str) -> _Entries:
    path = request.place(file, argument, Path.is_file)
    separator = _SEPARATORS.get(path.suffix.lower())
    rows = list(_objects(request.reading, path) if separator is None else _cells(request.reading, path, separator))
    if not rows:
        raise request.error("E0709", f"{path} has no entries", argument=argument)
    return _Entries(path, [line for line, _ in rows], [entry for _, entry in rows])


def _objects(reading: Reading, path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of a file of JSON lines, each with the number of its line."""
    for count, line in enumerate(read_text(reading, path, _BYTES_PER_CHARACTER).split("\n"), 1):
        if not line.strip():
            continue
        try:
            entry = strict_json.decode(line.encode())
        except ValueError as error:
            raise reading.error("E0709", f"{path}, line {count}: it is no JSON ({error})") from error
        if not isinstance(entry, dict):
            raise reading.error(
                "E0709",
                f"{path}, line {count}: an object is expected, found {shortened(line.strip())}",
                help='each line is an entry: {"image": "0001.jpg", "angle": 0.25}',
            )
        yield count, entry


def _cells(reading: Reading, path: Path, separator: str) -> Iterator[tuple[int, dict[str, str]]]:
    """The rows of a text table by the names of its header, each with the number of its line."""
    rows = read_rows(reading, path, separator)
    head = next(rows, None)
    names = [] if head is None else [cell.strip() for cell in head.cells]
    if len({*names}) < len(names):
        raise reading.error("E0709", f"{path}: two columns have one name: {enumerated(names)}")
    for row in rows:
        if len(row.cells) != len(names):
            raise reading.error("E0709", f"{path}, line {row.line}: {len(row.cells)} columns, expected {len(names)}")
        yield row.line, dict(zip(names, map(str.strip, row.cells), strict=True))


def _column(request: DataRequest, entries: _Entries, name: str, key: str) -> list[Any]:
    """The value of a key in every entry."""
    found = []
    for line, entry in zip(entries.lines, entries.values, strict=True):
        if entry.get(key) is None or entry[key] == "":
            fault = f"'{shortened(key)}' is empty" if key in entry else f"there is no '{shortened(key)}'"
            raise request.error(
                "E0709",
                f"{entries.path}, line {line}: {fault}",
                argument=name,
                notes=[f"the entry has: {enumerated(list(entry)[:_SHOWN])}"],
                help=None if key in entry else did_you_mean(key, list(entry)),
            )
        found.append(entry[key])
    return found


def _field(
    request: DataRequest,
    entries: _Entries,
    name: str,
    column: Sequence[Any],
    shape: tuple[int, int, int],
    dir: str | None,
    class_names: dict[str, tuple[str, ...]],
    before: TensorType | None,
) -> Field:
    """The field of a column: pictures, classes or numbers, according to the values. Adds the names of new classes.

    ``before`` is the type of the field in the training file, if that is another one: its floats may be ints here.
    """
    origin = Origin(entries.path, "line", np.array(entries.lines))
    if entries.path.suffix.lower() in _SEPARATORS and all(map(is_number, column)) and name not in class_names:
        column = [int(cell) if cell.lstrip("+-").isdecimal() else number(cell) for cell in column]
    is_text = [isinstance(value, str) for value in column]
    if any(is_text) and not all(is_text):
        row = is_text.index(not is_text[0])
        kinds = ("a text", "a number") if is_text[row] else ("a number", "a text")
        raise request.error(
            "E0709",
            f"{entries.path}, line {entries.lines[row]}: '{name}' is {kinds[0]}, {shortened(str(column[row]))}, and on "
            f"line {entries.lines[0]} {kinds[1]}",
            argument=name,
        )
    if not any(is_text):
        return _numbers(request, entries, name, column, origin, before is not None and before.element == "float")
    if Path(column[0]).suffix.lower() in SUFFIXES:
        return _pictures(request, entries, name, column, shape, dir)
    names = class_names.setdefault(name, tuple(request.known.class_names.get(name) or classes(column)))
    return labels(class_numbers(request, name, names, column, origin.of), len(names), origin)


def _numbers(
    request: DataRequest, entries: _Entries, name: str, column: Sequence[Any], origin: Origin, is_float: bool
) -> Field:
    arrays: list[np.ndarray[Any, Any]] = []
    for line, value in zip(entries.lines, column, strict=True):
        fault = None
        try:
            array: np.ndarray[Any, Any] = np.array(value)
            if array.dtype.kind not in "fiub" or not array.size:
                fault = f"{shortened(written(value))} is no number and no list of numbers"
            elif arrays and array.shape != arrays[0].shape:
                fault = f"its shape is {list(array.shape)}, and on line {entries.lines[0]} {list(arrays[0].shape)}"
        except ValueError:
            fault = "its lists differ in length"
        if fault is not None:
            raise request.error("E0709", f"{entries.path}, line {line}: '{name}': {fault}", argument=name)
        arrays.append(array)
    try:
        stacked = np.stack(arrays)
        return numbers(stacked.astype(np.float64) if is_float else stacked, origin)
    except ValueError as error:
        raise request.error("E0709", f"{entries.path}: '{name}': {error}", argument=name) from error


def _pictures(
    request: DataRequest,
    entries: _Entries,
    name: str,
    column: Sequence[str],
    shape: tuple[int, int, int],
    dir: str | None,
) -> Field:
    home = entries.path.parent / (dir or "")
    paths = [home / text for text in column]
    for line, path in zip(entries.lines, paths, strict=True):
        if path.suffix.lower() not in SUFFIXES:
            fault = f"{shortened(path.name)} is no picture, and on line {entries.lines[0]} '{name}' is one"
            raise request.error("E0709", f"{entries.path}, line {line}: {fault}", argument=name)
        if not path.is_file():
            raise request.error(
                "E0704",
                f"{entries.path}, line {line}: there is no picture {path}",
                argument="dir" if dir else name,
                help="a picture is named relative to the folder of the file, or to the folder 'dir' in it",
            )
    return ImageFiles(paths, TensorType(shape), request)


def _properties(request: DataRequest, entries: _Entries) -> dict[str, np.ndarray[Any, Any]]:
    """The keys by which the setting groups the examples, as far as every entry has them."""
    return {
        key: np.array([str(entry[key]) for entry in entries.values])
        for key in request.division.group
        if all(key in entry for entry in entries.values)
    }
