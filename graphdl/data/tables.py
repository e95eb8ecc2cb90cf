"""Tables in text files: a row an example, a column a quantity."""

from __future__ import annotations

import csv as csv_format
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphdl.data.dataset import DataSet, Field, Split, divide, labels, numbers
from graphdl.data.request import Request
from graphdl.suggest import did_you_mean


@dataclass(frozen=True)
class _Table:
    path: Path
    columns: tuple[str, ...]
    rows: list[list[str]]
    lines: list[int]
    """The line of the file on which each row ends."""


def csv(
    request: Request,
    file: str,
    label: str | int | None,
    target: str | int | None,
    columns: Sequence[str | int] | None,
    header: bool,
    separator: str,
    test: float | str,
) -> DataSet:
    """See ``graphdl.data.declarations``."""
    tables = [_read(request, file, "file", header, separator)]
    if isinstance(test, str):
        tables.append(_read(request, test, "test", header, separator))
        if tables[1].columns != tables[0].columns:
            raise request.error(
                "E0707",
                f"{tables[1].path} has other columns than {tables[0].path}",
                argument="test",
                notes=[f"found {', '.join(tables[1].columns)}", f"expected {', '.join(tables[0].columns)}"],
            )
    first = tables[0]
    special: dict[str, int] = {}
    for name, chosen in (("label", label), ("target", target)):
        if chosen is not None:
            special[name] = _column(request, first, chosen, name)
    if columns is None:
        inputs = [index for index in range(len(first.columns)) if index not in special.values()]
    else:
        inputs = [_column(request, first, chosen, "columns") for chosen in columns]
    if not inputs:
        raise request.error("E0709", f"{first.path} leaves no column for 'x'")

    fields: list[dict[str, Field]] = [{} for _ in tables]
    for table, into in zip(tables, fields, strict=True):
        into["x"] = numbers(np.stack([_numeric(request, table, index) for index in inputs], axis=1))
        if "target" in special:
            into["target"] = numbers(_numeric(request, table, special["target"]))
    class_names: dict[str, tuple[str, ...]] = {}
    if "label" in special:
        texts = [[row[special["label"]].strip() for row in table.rows] for table in tables]
        names = _classes(texts[0])
        class_names["label"] = names
        numbering = {name: number for number, name in enumerate(names)}
        for table, into, column in zip(tables, fields, texts, strict=True):
            into["label"] = _numbered(request, table, column, numbering)

    train = Split("train", fields[0])
    if len(tables) == 2:
        splits = {"train": train, "test": Split("test", fields[1])}
    elif test:
        train, held_out = divide(train, float(test), "test", stratify="label" if class_names else None)
        splits = {"train": train, "test": held_out}
    else:
        splits = {"train": train}
    return DataSet(
        first.path.stem,
        splits,
        class_names,
        span=request.setting.span,
        files=[table.path for table in tables],
    )


def _read(request: Request, name: str, argument: str, header: bool, separator: str) -> _Table:
    path = request.place(name, argument, Path.is_file)
    rows: list[list[str]] = []
    lines: list[int] = []
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv_format.reader(file, delimiter=separator)
            for row in reader:
                if any(cell.strip() for cell in row):
                    rows.append(row)
                    lines.append(reader.line_num)
    except UnicodeDecodeError as error:
        raise request.damaged(path, f"byte {error.start} is no UTF-8 text") from error
    except csv_format.Error as error:
        raise request.damaged(path, f"line {reader.line_num}: {error}") from error
    except OSError as error:
        raise request.damaged(path, error.strerror or str(error)) from error
    if header and rows:
        columns = tuple(cell.strip() for cell in rows.pop(0))
        lines.pop(0)
        if len(set(columns)) < len(columns):
            raise request.error("E0709", f"{path}: two columns have one name: {', '.join(columns)}")
    else:
        columns = tuple(str(index) for index in range(len(rows[0]))) if rows else ()
    if not rows:
        raise request.error("E0709", f"{path} has no rows", argument=argument)
    for row, line in zip(rows, lines, strict=True):
        if len(row) != len(columns):
            raise request.error("E0709", f"{path}, line {line}: {len(row)} columns, expected {len(columns)}")
    return _Table(path, columns, rows, lines)


def _column(request: Request, table: _Table, chosen: str | int, argument: str) -> int:
    if isinstance(chosen, int):
        if -len(table.columns) <= chosen < len(table.columns):
            return chosen % len(table.columns)
    elif chosen in table.columns:
        return table.columns.index(chosen)
    raise request.error(
        "E0709",
        f"{table.path} has no column {chosen!r}",
        argument=argument,
        notes=[f"its columns are: {', '.join(table.columns)}"],
        help=did_you_mean(str(chosen), table.columns),
    )


def _numeric(request: Request, table: _Table, index: int) -> NDArray[np.float32]:
    """A column as floats."""
    cells = [row[index] for row in table.rows]
    try:
        column = np.array(cells, np.float64)
        row = int(np.argmin(np.isfinite(column)))
        is_good = bool(np.isfinite(column[row]))
    except ValueError:
        row = next(row for row, cell in enumerate(cells) if not _is_number(cell))
        is_good = False
    if not is_good:
        raise request.error(
            "E0709",
            f"{table.path}, line {table.lines[row]}: '{cells[row].strip()}' in column "
            f"'{table.columns[index]}' is no finite number",
            help="name the numeric columns with 'columns', or the column of classes with 'label'",
        )
    return column.astype(np.float32)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _classes(texts: Sequence[str]) -> tuple[str, ...]:
    distinct = set(texts)
    return tuple(sorted(distinct, key=float) if all(map(_is_number, distinct)) else sorted(distinct))


def _numbered(request: Request, table: _Table, texts: Sequence[str], numbering: Mapping[str, int]) -> Field:
    values: NDArray[Any] = np.zeros(len(texts), np.int32)
    for row, text in enumerate(texts):
        if text not in numbering:
            raise request.error(
                "E0706",
                f"{table.path}, line {table.lines[row]}: class '{text}' does not occur in the training file",
                notes=[f"its classes are: {', '.join(numbering)}"],
            )
        values[row] = numbering[text]
    return labels(values, len(numbering))
