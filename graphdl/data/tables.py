"""Text tables as data sets: a row for each example, a column for each quantity."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphdl.data.dataset import DataSet, Field, Origin, Split, Table, labels, numbers
from graphdl.data.request import DataRequest
from graphdl.data.text_tables import Columns, Row, is_number, number, read_columns, read_rows
from graphdl.suggest import did_you_mean, enumerated

_MOST_COMPARED = 1000
"""The most column names to which a misspelt name is compared."""


@dataclass(frozen=True)
class _Opened:
    """A table after its header was read. ``rows`` are the remaining ones."""

    path: Path
    columns: tuple[str, ...]
    rows: Iterator[Row]


@dataclass(frozen=True)
class _Chosen:
    """The columns of each field, by index."""

    inputs: Sequence[int]
    target: int | None
    label: int | None


def csv(
    request: DataRequest,
    file: str,
    label: str | int | None,
    target: str | int | None,
    columns: Sequence[str | int] | None,
    header: bool,
    separator: str,
    test: float | str,
) -> DataSet:
    """See ``graphdl.data.catalog``."""
    first = _open(request, file, "file", header, separator)
    tables = [first]
    if isinstance(test, str):
        second = _open(request, test, "test", header, separator)
        tables.append(second)
        if second.columns != first.columns:
            raise request.error(
                "E0707",
                f"{second.path} has other columns than {first.path}",
                argument="test",
                notes=[f"found {enumerated(second.columns)}", f"expected {enumerated(first.columns)}"],
            )
    chosen = _choose(request, first, label, target, columns, header)
    read = [_read(request, table, chosen) for table in tables]
    fields: list[dict[str, Field]] = [_numeric(table, part, chosen) for table, part in zip(tables, read, strict=True)]
    class_names: dict[str, tuple[str, ...]] = {}
    if chosen.label is not None:
        names = class_names["label"] = tuple(request.known.class_names.get("label") or classes(read[0].texts))
        numbering = {name: number for number, name in enumerate(names)}
        for table, part, into in zip(tables, read, fields, strict=True):
            into["label"] = _numbered(request, table, part, numbering)

    train = Split("train", fields[0])
    if len(tables) == 2:
        splits = {"train": train, "test": Split("test", fields[1])}
    elif test:
        train, held_out = request.divide(train, float(test), "test", stratify="label" if class_names else None)
        splits = {"train": train, "test": held_out}
    else:
        splits = {"train": train}
    names = tuple(first.columns[index] for index in chosen.inputs) if header else ()
    return DataSet(
        first.path.stem,
        splits,
        class_names,
        tables={"x": Table(names, separator)},
        span=request.setting.span,
        files=[table.path for table in tables],
    )


def _open(request: DataRequest, name: str, argument: str, header: bool, separator: str) -> _Opened:
    path = request.place(name, argument, Path.is_file)
    rows = read_rows(request.reading, path, separator)
    head = next(rows, None)
    if head is None:
        raise request.error("E0709", f"{path} has no rows", argument=argument)
    if not header:
        return _Opened(path, tuple(map(str, range(len(head.cells)))), chain([head], rows))
    columns = tuple(cell.strip() for cell in head.cells)
    if len(set(columns)) < len(columns):
        raise request.error("E0709", f"{path}: two columns have one name: {enumerated(columns)}")
    numeric = [name for name in columns if is_number(name)]
    if not _may_be_names(numeric):
        raise request.error(
            "E0709",
            f"{path}, line {head.line}: '{numeric[0]}' is the name of no column: the first row looks like data",
            argument="header",
            help="say 'header = false', and count the columns from 0; or give the columns names",
        )
    return _Opened(path, columns, rows)


def _may_be_names(texts: Sequence[str]) -> bool:
    """Whether numbers can be column names, as for pixels (0, 1, 2 …) or years: they are integers in ascending order."""
    return all(text.isdecimal() for text in texts) and all(
        first < second for first, second in pairwise(map(number, texts))
    )


def _choose(
    request: DataRequest,
    table: _Opened,
    label: str | int | None,
    target: str | int | None,
    columns: Sequence[str | int] | None,
    header: bool,
) -> _Chosen:
    """The columns of the fields. Those of ``x`` are the same as in training, if these are known."""
    special = {
        name: _column(request, table, chosen, name)
        for name, chosen in (("label", label), ("target", target))
        if chosen is not None
    }
    known = request.known.columns.get("x") if header else None
    others = set(special.values())
    if columns is not None:
        inputs = [_column(request, table, chosen, "columns") for chosen in columns]
    else:
        inputs = [index for index in range(len(table.columns)) if index not in others]
    if known:
        found = [table.columns[index] for index in inputs]
        places = {name: index for index, name in enumerate(table.columns)}
        missing = [name for name in known if name not in places]
        if missing or (columns is not None and set(found) != set(known)):
            what = f"{table.path} has no column {missing[0]!r}" if missing else "'columns' names others"
            raise request.error(
                "E0709",
                f"the run was trained on the columns {enumerated(known)}: {what}",
                argument="columns",
                notes=[f"its columns are: {enumerated(table.columns)}"],
            )
        inputs = [places[name] for name in known]
    if not inputs:
        raise request.error("E0709", f"{table.path} leaves no column for 'x'")
    return _Chosen(inputs, special.get("target"), special.get("label"))


def _column(request: DataRequest, table: _Opened, chosen: str | int, argument: str) -> int:
    if isinstance(chosen, int):
        if -len(table.columns) <= chosen < len(table.columns):
            return chosen % len(table.columns)
    elif chosen in table.columns:
        return table.columns.index(chosen)
    cure = did_you_mean(str(chosen), table.columns[:_MOST_COMPARED])
    raise request.error(
        "E0709",
        f"{table.path} has no column {chosen!r}",
        argument=argument,
        notes=[f"its columns are: {enumerated(table.columns)}"],
        help=cure,
    )


def _read(request: DataRequest, table: _Opened, chosen: _Chosen) -> Columns:
    numeric = [*chosen.inputs, *([chosen.target] if chosen.target is not None else [])]
    cure = "name the numeric columns with 'columns', or the column of classes with 'label'"
    return read_columns(request.reading, table.path, table.rows, table.columns, numeric, chosen.label, cure)


def _numeric(table: _Opened, part: Columns, chosen: _Chosen) -> dict[str, Field]:
    origin = Origin(table.path, "line", part.lines)
    fields: dict[str, Field] = {"x": numbers(part.values[:, : len(chosen.inputs)], origin)}
    if chosen.target is not None:
        fields["target"] = numbers(part.values[:, -1], origin)
    return fields


def classes(texts: Sequence[str]) -> tuple[str, ...]:
    """The distinct classes in sorted order: numerically if all are finite numbers, else as texts."""
    distinct = set(texts)
    if all(map(is_number, distinct)):
        return tuple(sorted(distinct, key=lambda text: (number(text), text)))
    return tuple(sorted(distinct))


def _numbered(request: DataRequest, table: _Opened, part: Columns, numbering: Mapping[str, int]) -> Field:
    values: NDArray[Any] = np.zeros(len(part.texts), np.int32)
    for row, text in enumerate(part.texts):
        if text not in numbering:
            raise request.error(
                "E0706",
                f"{table.path}, line {part.lines[row]}: class '{text}' does not occur in the training file",
                notes=[f"its classes are: {enumerated(numbering)}"],
            )
        values[row] = numbering[text]
    return labels(values, len(numbering), Origin(table.path, "line", part.lines))
