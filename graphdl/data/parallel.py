"""Pairs of lines as data sets: a text and its counterpart, such as a translation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from graphdl.data.dataset import ArrayField, Buckets, DataSet, Origin, Rows, Split
from graphdl.data.reading import Reading
from graphdl.data.request import DataRequest
from graphdl.data.sequences import Lines, lines_of, sequences, writings
from graphdl.data.texts import read_text, tokenization, tokenizer_of
from graphdl.data.vocabulary import (
    BEGIN,
    END,
    PAD,
    UNITS,
    UNKNOWN,
    Tokenization,
    Unit,
    Vocabulary,
    Writing,
    vocabulary,
)
from graphdl.diagnostics import Diagnostic, ModelError
from graphdl.graph.types import TensorType

_BYTES_PER_CHARACTER = 16
"""The memory for the lines and their tokens, for each byte of a file."""
_SIDES = ("source", "target")
_SPECIAL = ((PAD, UNKNOWN), (PAD, UNKNOWN, BEGIN, END))


@dataclass(frozen=True)
class _Pairs:
    """The pairs of a split's files, as far as ``rows`` names them."""

    origin: Origin
    sides: tuple[Lines, Lines]
    rows: Rows


def pairs(
    request: DataRequest,
    file: str | list[str],
    unit: Unit,
    lengths: tuple[int, int] | None,
    most: tuple[int | None, int | None],
    lower: bool,
    columns: tuple[int, int],
    test: float | str | list[str],
    tokenizers: Sequence[str],
    buckets: Buckets | None,
) -> DataSet:
    """See ``graphdl.data.declared``. ``tokenizers`` are two files, or none."""
    loaded = {name: tokenizer_of(request, name) for name in tokenizers}
    by: list[Tokenization] = [loaded[name] for name in tokenizers] if tokenizers else [unit, unit]
    paths, splits = _splits(request, file, (by[0], by[1]), lower, columns, test)
    paths += [each.path for each in loaded.values()]
    known = request.known.class_names
    entries = []
    for side, name in enumerate(_SIDES):
        if tokenizers:
            entries.append(loaded[tokenizers[side]].vocabulary(_SPECIAL[side], known.get(name, ())))
            continue
        train = splits["train"]
        counts = train.sides[side].counts(train.rows)
        made = vocabulary(train.sides[side].tokens.kinds, counts, unit, most[side], _SPECIAL[side])
        entries.append(Vocabulary(tuple(known[name])) if known.get(name) else made)
    longest = lengths or tuple(_longest(splits.values(), side) + side for side in (0, 1))
    files = [str(loaded[name].path) for name in tokenizers] if tokenizers else [None, None]
    source = Writing("source", unit, lower, "tokens", longest[0], tokenizer=files[0])
    target = Writing("target", unit, lower, "tokens", longest[1], column=1, end=True, tokenizer=files[1])
    ways = {
        **writings("source", source),
        **writings("target", target),
        "target": replace(target, begin=True, end=False),
        "next": target,
    }
    made_splits = {}
    warnings = []
    for name, each in splits.items():
        fitting = each.rows[
            (each.sides[0].lengths[each.rows] <= longest[0]) & (each.sides[1].lengths[each.rows] < longest[1])
        ]
        if not len(fitting):
            raise request.error(
                "E0712",
                f"the split '{name}' of {each.origin.path} has no pair of at most {longest[0]} and {longest[1] - 1} "
                f"{UNITS[unit]}",
                argument="length",
            )
        if len(fitting) < len(each.rows):
            longest_here = [_longest([each], side) + side for side in (0, 1)]
            warnings.append(
                Diagnostic(
                    "W0702",
                    f"{len(each.rows) - len(fitting):,} of the {len(each.rows):,} pairs of the split '{name}' are "
                    "longer than 'length' and left out",
                    request.span("length"),
                    help=f"length = {longest_here} holds them all",
                )
            )
        made_splits[name] = Split(
            name,
            {
                field: sequences(each.sides[way.column], entries[way.column], way, each.origin).select(fitting)
                for field, way in ways.items()
            },
            lengths=np.maximum(each.sides[0].lengths, each.sides[1].lengths + 1)[fitting],
        )
    return DataSet(
        paths[0].name.partition(".")[0],
        made_splits,
        class_names={name: entry.names for name, entry in zip(_SIDES, entries, strict=True)},
        writings=ways,
        buckets=buckets,
        span=request.setting.span,
        files=paths,
        warnings=warnings,
        is_divided=True,
    )


def _longest(splits: Iterable[_Pairs], side: int) -> int:
    """The number of tokens of the longest text of one side."""
    return max(int(each.sides[side].lengths[each.rows].max(initial=1)) for each in splits)


def _splits(
    request: DataRequest,
    file: str | list[str],
    by: tuple[Tokenization, Tokenization],
    lower: bool,
    columns: tuple[int, int],
    test: float | str | list[str],
) -> tuple[list[Path], dict[str, _Pairs]]:
    """The files, and the pairs of each split."""
    paths, origin, texts = _read(request, file, "file", columns)
    sides = _divided(texts, by, lower)
    splits: dict[str, _Pairs] = {}
    # Equal texts are in one group, whatever their tokens: the numbers of the texts stand for them.
    split = Split(
        "train",
        {"row": ArrayField(np.arange(len(texts[0]), dtype=np.int32), TensorType((), "int"))},
        {name: _numbered(side) for name, side in zip(_SIDES, texts, strict=True)},
    )

    def add(name: str, part: Split) -> None:
        splits[name] = _Pairs(origin, sides, part.fields["row"].take(np.arange(len(part))).astype(np.intp))

    if isinstance(test, float | int):
        if test:
            split, held_out = request.divide(split, test, "test")
            add("test", held_out)
    else:
        others, other_origin, other_texts = _read(request, test, "test", columns)
        paths += others
        rows = np.arange(len(other_texts[0]))
        splits["test"] = _Pairs(other_origin, _divided(other_texts, by, lower), rows)
    if request.validation:
        split, held_out = request.divide(split, request.validation, "validation")
        add("validation", held_out)
    add("train", split)
    for name, each in splits.items():
        if not len(each.rows):
            message = f"the split '{name}' is empty: {paths[0]} has {len(texts[0])} pair{'s' * (len(texts[0]) != 1)}"
            raise request.error("E0712", message, argument="test" if name == "test" else None)
    return paths, splits


def _divided(
    texts: tuple[Sequence[str], Sequence[str]], by: tuple[Tokenization, Tokenization], lower: bool
) -> tuple[Lines, Lines]:
    return lines_of(texts[0], by[0], lower), lines_of(texts[1], by[1], lower)


def _numbered(texts: Sequence[str]) -> Rows:
    known: dict[str, int] = {}
    return np.array([known.setdefault(text, len(known)) for text in texts], np.intp)


def _read(
    request: DataRequest, names: str | list[str], argument: str, columns: tuple[int, int]
) -> tuple[list[Path], Origin, tuple[list[str], list[str]]]:
    """The files, the place of each pair, and the texts of both sides."""
    paths = [request.place(name, argument, Path.is_file) for name in ([names] if isinstance(names, str) else names)]
    if len(paths) == 1:
        found = list(cells(request.reading, paths[0], columns))
    else:
        lines = [
            read_text(request.reading, path, _BYTES_PER_CHARACTER).removesuffix("\n").split("\n") for path in paths
        ]
        if len(lines[0]) != len(lines[1]):
            counts = f"{paths[0]} has {len(lines[0])} lines, {paths[1]} {len(lines[1])}"
            raise request.error("E0707", counts, argument=argument, help="line n of one belongs to line n of the other")
        found = []
        for number, pair in enumerate(zip(*lines, strict=True), 1):
            for path, line in zip(paths, pair, strict=True):
                if not line.strip() and any(map(str.strip, pair)):
                    raise _empty(request.reading, path, number, "the line")
            if pair[0].strip():
                found.append((number, list(pair)))
    if not found:
        raise request.error("E0709", f"{paths[0]} has no pairs of lines", argument=argument)
    origin = Origin(paths[0], "line", np.array([number for number, _ in found]))
    return paths, origin, ([texts[0] for _, texts in found], [texts[1] for _, texts in found])


def cells(reading: Reading, path: Path, columns: Sequence[int]) -> Iterator[tuple[int, list[str]]]:
    """The given cells of the lines that are not blank, each with the number of its line. Tabs separate the cells.

    Raises:
        ModelError: as ``read_text``; E0709, a line has too few cells, or one of them is empty.
    """
    text = read_text(reading, path, _BYTES_PER_CHARACTER)
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        found = line.split("\t")
        if len(found) <= max(columns):
            raise reading.error(
                "E0709",
                f"{path}, line {number}: {len(found)} column{'s' * (len(found) != 1)}, expected {max(columns) + 1}",
                help="a tab separates the two texts of a line",
            )
        chosen = [found[column] for column in columns]
        if not all(map(str.strip, chosen)):
            column = next(column for column in columns if not found[column].strip())
            raise _empty(reading, path, number, f"column {column}")
        yield number, chosen


def _empty(reading: Reading, path: Path, line: int, what: str) -> ModelError:
    return reading.error("E0709", f"{path}, line {line}: {what} is empty, and its counterpart is not")


def encoded_lines(
    reading: Reading, path: Path, inputs: Mapping[str, tuple[Writing, Vocabulary]]
) -> dict[str, np.ndarray[Any, Any]]:
    """The lines of a text for a prediction, an example for each line: a column for each side that the inputs need.

    Raises:
        ModelError: as ``cells``; E0714, a line is longer than the net's input.
    """
    columns = list(range(1 + max(writing.column for writing, _ in inputs.values())))
    rows = list(cells(reading, path, columns))
    if not rows:
        raise reading.error("E0709", f"{path} has no lines")
    found = {}
    ways: dict[str, Tokenization] = {}
    for name, (writing, entries) in inputs.items():
        if writing.vocabulary not in ways:
            ways[writing.vocabulary] = tokenization(reading, writing, entries)
        most = writing.length if writing.is_cut else None
        lines = lines_of((texts[writing.column] for _, texts in rows), ways[writing.vocabulary], writing.lower, most)
        lengths = lines.lengths + writing.begin + writing.end
        if lengths.max() > writing.length:
            row = int(np.argmax(lengths > writing.length))
            raise reading.error(
                "E0714",
                f"{path}, line {rows[row][0]}: {lines.lengths[row]} "
                f"{UNITS[writing.unit]}, and the net was trained on at most "
                f"{writing.length - writing.begin - writing.end}",
            )
        found[name] = sequences(lines, entries, writing).take(np.arange(len(rows)))
    return found
