"""Text tables as data sets: a row for each example, a column for each quantity."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphdl.data.classes import class_numbers, classes
from graphdl.data.dataset import Buckets, DataSet, Field, Origin, Split, Table, labels, numbers, stratum
from graphdl.data.request import DataRequest
from graphdl.data.sequences import lines_of, sequences, writings
from graphdl.data.text_tables import Columns, Row, is_number, number, read_columns, read_rows
from graphdl.data.texts import tokenizer_of
from graphdl.data.vocabulary import PAD, UNKNOWN, Unit, Vocabulary, Writing, vocabulary
from graphdl.suggest import did_you_mean, enumerated

_ROW = "row"
"""The property that numbers the rows of a file."""
_MOST_COMPARED = 1000
"""The most column names to which a misspelt name is compared."""


@dataclass(frozen=True)
class _Opened:
    """A table after its header was read. ``rows`` are the remaining ones."""

    path: Path
    columns: tuple[str, ...]
    rows: Iterator[Row]


@dataclass(frozen=True)
class Written:
    """A column of texts, and the way in which it becomes a field."""

    column: str | int
    unit: Unit
    length: int | None
    """The number of tokens; None for that of the longest text."""
    most: int | None
    """The greatest number of entries of the vocabulary."""
    lower: bool
    tokenizer: str | None
    """The file of the tokenizer, if the unit is ``piece``."""
    buckets: Buckets | None


@dataclass(frozen=True)
class _Chosen:
    """The columns of each field, by index."""

    inputs: Sequence[int]
    target: int | None
    label: int | None
    text: int | None
    others: Sequence[int]
    """The column of texts, and those by which the setting groups the rows."""


def csv(
    request: DataRequest,
    file: str,
    label: str | int | None,
    target: str | int | None,
    columns: Sequence[str | int] | None,
    header: bool,
    separator: str,
    test: float | str,
    written: Written | None,
) -> DataSet:
    """See ``graphdl.data.declared``."""
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
    chosen = _choose(request, first, label, target, columns, written, header)
    read = [_read(request, table, chosen) for table in tables]
    class_names: dict[str, tuple[str, ...]] = {}
    if chosen.label is not None:
        class_names["label"] = tuple(request.known.class_names.get("label") or classes(read[0].texts))
    parts = [
        Split("train", _fields(request, table, part, chosen, class_names), _properties(table, part, chosen))
        for table, part in zip(tables, read, strict=True)
    ]
    splits = _divided(request, parts, test, is_complete=written is not None)
    ways: dict[str, Writing] = {}
    if written is not None and chosen.text is not None:
        texts = [
            (Origin(table.path, "line", part.lines), part.others[chosen.text])
            for table, part in zip(tables, read, strict=True)
        ]
        class_names["text"], ways = _add_texts(request, splits, texts, written)
    names = tuple(first.columns[index] for index in chosen.inputs) if header else ()
    return DataSet(
        first.path.stem,
        splits,
        class_names,
        tables={"x": Table(names, separator)} if chosen.inputs else {},
        writings=ways,
        buckets=None if written is None else written.buckets,
        span=request.setting.span,
        files=[table.path for table in tables],
        is_divided=written is not None,
    )


def _divided(request: DataRequest, parts: Sequence[Split], test: float | str, *, is_complete: bool) -> dict[str, Split]:
    """The splits of one or two files, with that for validation if ``is_complete``."""
    train = parts[0]
    splits = {"test": Split("test", parts[1].fields, parts[1].properties)} if len(parts) == 2 else {}
    if not isinstance(test, str) and test:
        train, splits["test"] = request.divide(train, test, "test", stratify=stratum(train))
    if is_complete and request.validation:
        train, splits["validation"] = request.divide(train, request.validation, "validation", stratify=stratum(train))
    return {"train": train, **splits}


def _properties(table: _Opened, part: Columns, chosen: _Chosen) -> dict[str, NDArray[Any]]:
    """The cells by which the setting groups the rows, and the numbers of the rows. Equal cells have equal numbers."""
    found: dict[str, NDArray[Any]] = {_ROW: np.arange(len(part.lines))}
    for index, cells in part.others.items():
        known: dict[str, int] = {}
        numbers = np.array([known.setdefault(cell, len(known)) for cell in cells], np.intp)
        found[table.columns[index]] = numbers
        if index == chosen.text:
            found["text"] = numbers
    return found


def _add_texts(
    request: DataRequest, splits: dict[str, Split], texts: Sequence[tuple[Origin, Sequence[str]]], written: Written
) -> tuple[tuple[str, ...], dict[str, Writing]]:
    """Adds the fields of the texts to the splits. The last of ``texts`` is that of the test split, if there are two.

    Returns the names of the vocabulary and the ways of the fields.
    """
    loaded = None if written.tokenizer is None else tokenizer_of(request, written.tokenizer)
    lines = [lines_of(cells, loaded or written.unit, written.lower, written.length) for _, cells in texts]
    length = written.length or max(int(each.lengths.max(initial=1)) for each in lines)
    known = request.known.class_names.get("text", ())
    if loaded is not None:
        entries = loaded.vocabulary((PAD,), known)
    elif known:
        entries = Vocabulary(tuple(known))
    else:
        counts = lines[0].counts(splits["train"].properties[_ROW])
        entries = vocabulary(lines[0].tokens.kinds, counts, written.unit, written.most, (PAD, UNKNOWN))
    file = None if loaded is None else str(loaded.path)
    is_cut = written.length is not None
    way = Writing("text", written.unit, written.lower, "tokens", length, tokenizer=file, is_cut=is_cut)
    ways = writings("text", way)
    for name, split in splits.items():
        table = -1 if name == "test" else 0
        made = {key: sequences(lines[table], entries, each, texts[table][0]) for key, each in ways.items()}
        added = {key: field.select(split.properties[_ROW]) for key, field in made.items()}
        rows = split.properties[_ROW]
        splits[name] = Split(name, {**split.fields, **added}, split.properties, lines[table].lengths[rows])
    return entries.names, ways


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
    written: Written | None,
    header: bool,
) -> _Chosen:
    """The columns of the fields. Those of ``x`` are the same as in training, if these are known."""
    special = {
        name: _column(request, table, chosen, name)
        for name, chosen in (
            ("label", label),
            ("target", target),
            ("text", written.column if written is not None else None),
        )
        if chosen is not None
    }
    known = request.known.columns.get("x") if header else None
    others = set(special.values())
    if columns is not None:
        inputs = [_column(request, table, chosen, "columns") for chosen in columns]
    elif "text" in special:
        inputs = []
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
    if not inputs and "text" not in special:
        raise request.error("E0709", f"{table.path} leaves no column for 'x'")
    grouping = [table.columns.index(name) for name in request.division.group if name in table.columns]
    text = special.get("text")
    further = dict.fromkeys([*([text] if text is not None else []), *grouping])
    return _Chosen(inputs, special.get("target"), special.get("label"), text, list(further))


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
    return read_columns(
        request.reading, table.path, table.rows, table.columns, numeric, chosen.label, cure, chosen.others
    )


def _fields(
    request: DataRequest, table: _Opened, part: Columns, chosen: _Chosen, class_names: Mapping[str, Sequence[str]]
) -> dict[str, Field]:
    """The fields of a file, but for those of its texts."""
    origin = Origin(table.path, "line", part.lines)
    fields: dict[str, Field] = {}
    if chosen.inputs:
        fields["x"] = numbers(part.values[:, : len(chosen.inputs)], origin)
    if chosen.target is not None:
        fields["target"] = numbers(part.values[:, -1], origin)
    if chosen.label is not None:
        names = class_names["label"]
        found = class_numbers(request, "label", names, part.texts, origin.of)
        fields["label"] = labels(found, len(names), origin)
    return fields
