"""Text tables (CSV): rows of cells, read line by line, and their columns as arrays."""

from __future__ import annotations

import codecs
import csv
import io
import re
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from graphdl.data.reading import Reading
from graphdl.diagnostics import ModelError

_LONGEST_ROW = 1 << 24
"""The most characters of a row, including line ends in quotes."""
_CELLS = 1 << 16
"""The number of cells that are converted at once, and at least a row."""
_TEXT_BYTES = 200
"""The memory of a text in addition to its characters, in bytes. Equal texts are stored once."""
_SHOWN = 60
"""The most characters of a cell in a message."""
_LINE_END = re.compile(r"\r\n|\r|\n")
_LARGEST_FLOAT = float(np.finfo(np.float32).max)


class Row(NamedTuple):
    """The cells of a row, and the number of its first line in the file."""

    line: int
    cells: list[str]


@dataclass(frozen=True)
class Columns:
    """Some columns of a table: ``values`` is [rows, columns], and ``lines`` has the first line of each row."""

    values: NDArray[np.float32]
    texts: Sequence[str]
    """The cells of the text column, one for each row, if one was requested."""
    lines: NDArray[np.int64]
    others: Mapping[int, Sequence[str]] = field(default_factory=dict)
    """The cells of further columns, by the column's index."""


def number(text: str) -> float:
    """A number in a table. Python's ``1_000`` is not accepted.

    Raises:
        ValueError: the text is not a number.
    """
    if "_" in text:
        raise ValueError(text)
    return float(text)


def shortened(text: str) -> str:
    """A cell, shortened for a message."""
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"


def is_number(text: str) -> bool:
    """Whether a cell is a finite number."""
    try:
        return isfinite(number(text))
    except ValueError:
        return False


def read_rows(reading: Reading, path: Path, separator: str) -> Iterator[Row]:
    """Yields the rows of a table that are not blank.

    Raises:
        ModelError: E0704 or E0705, the file is missing or not UTF-8; E0709, a quote is not closed, or includes other
            rows; E0718, the file is too large.
    """
    with reading.open(path) as file:
        reading.require(file.seek(0, io.SEEK_END), f"{path}: the table")
        file.seek(0)
        lines = _Lines(reading, path, file)
        rows = csv.reader(lines, delimiter=separator, strict=True)
        width = 0
        while True:
            lines.begin()
            try:
                cells = next(rows)
            except StopIteration:
                return
            except UnicodeDecodeError as error:
                raise no_text(reading, path, file) from error
            except csv.Error as error:
                raise _ill_formed(reading, path, lines, separator, error) from error
            width = width or len(cells)
            if len(lines.row) > 1:
                _check_quotes(reading, path, lines, separator, cells, width)
            if any(cell.strip() for cell in cells):
                yield Row(lines.first, cells)


def read_columns(
    reading: Reading,
    path: Path,
    rows: Iterator[Row],
    names: Sequence[str],
    numeric: Sequence[int],
    text: int | None = None,
    cure: str | None = None,
    others: Sequence[int] = (),
) -> Columns:
    """Reads columns of all rows: the ``numeric`` ones as numbers, the one with index ``text`` as the names of classes,
    and ``others`` as they are, without the white space around them.

    ``names`` are the names of all columns. ``cure`` is the help for a cell that is not a number.

    Raises:
        ModelError: as ``read_rows``; E0709, a row has another number of cells, a cell is not a finite number, or there
            is no row; E0718, the columns take too much memory.
    """
    numbers = _Numbers(reading, path, [names[index] for index in numeric], cure)
    texts: list[str] = []
    known: dict[str, str] = {}
    seen: dict[str, str] = {}
    further: dict[int, list[str]] = {index: [] for index in others}
    size = 0
    for line, cells in rows:
        if len(cells) != len(names):
            raise reading.error("E0709", f"{path}, line {line}: {len(cells)} columns, expected {len(names)}")
        numbers.add(line, [cells[index] for index in numeric])
        if text is not None:
            cell = cells[text].strip()
            if cell not in known:
                if not cell or _LINE_END.search(cell):
                    fault = f"the class '{shortened(cell)}' holds the end of a line"
                    fault = fault if cell else f"no class in '{shortened(names[text])}'"
                    raise reading.error("E0709", f"{path}, line {line}: {fault}")
                size += _TEXT_BYTES + 4 * len(cell)
            texts.append(known.setdefault(cell, cell))
            size += 8
        for index, column in further.items():
            cell = cells[index].strip()
            if cell not in seen:
                size += _TEXT_BYTES + 4 * len(cell)
            column.append(seen.setdefault(cell, cell))
            size += 8
        if not numbers.waiting:
            reading.require(numbers.size + size, f"{path}: the table, up to line {line},")
    if not numbers.lines:
        raise reading.error("E0709", f"{path} has no rows")
    return Columns(numbers.whole(), texts, np.array(numbers.lines, np.int64), further)


class _Numbers:
    """Numeric columns that grow row by row."""

    def __init__(self, reading: Reading, path: Path, names: Sequence[str], cure: str | None) -> None:
        self.reading = reading
        self.path = path
        self.names = names
        self.cure = cure
        self.lines = array("q")
        self.waiting: list[list[float]] = []
        self.parts: list[NDArray[np.float32]] = []

    @property
    def size(self) -> int:
        """Bytes of memory needed to concatenate the parts."""
        return len(self.lines) * (24 + 8 * len(self.names))

    def add(self, line: int, cells: Sequence[str]) -> None:
        try:
            if "_" in "".join(cells):  # Python's float takes 1_000
                raise ValueError
            values = list(map(float, cells))
        except ValueError:
            index = next(index for index, cell in enumerate(cells) if not is_number(cell))
            raise self.off(line, index, cells[index]) from None
        self.lines.append(line)
        self.waiting.append(values)
        if len(self.waiting) * len(self.names) >= _CELLS:
            self.convert()

    def convert(self) -> None:
        values = np.array(self.waiting, np.float64).reshape(len(self.waiting), len(self.names))
        good = np.abs(values) <= _LARGEST_FLOAT  # false for NaN
        if not good.all():
            row, index = np.argwhere(~good)[0]
            raise self.off(self.lines[row - len(values)], index, str(values[row, index]))
        self.parts.append(values.astype(np.float32))
        self.waiting = []

    def whole(self) -> NDArray[np.float32]:
        if self.waiting or not self.parts:
            self.convert()
        return np.concatenate(self.parts)

    def off(self, line: int, index: int, cell: str) -> ModelError:
        place = f"'{shortened(cell.strip())}' in column '{shortened(self.names[index])}'"
        return self.reading.error("E0709", f"{self.path}, line {line}: {place} is no finite number", help=self.cure)


class _Lines:
    """The lines of a file as texts. It records the lines of the current row."""

    def __init__(self, reading: Reading, path: Path, file: BinaryIO) -> None:
        self.reading = reading
        self.path = path
        self.text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
        self.number = 0
        self.row: list[str] = []
        self.size = 0

    @property
    def first(self) -> int:
        """The number of the row's first line."""
        return self.number - len(self.row) + 1

    def begin(self) -> None:
        """Begins a new row."""
        self.row = []
        self.size = 0

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self.text.readline(_LONGEST_ROW + 1)
        if not line:
            raise StopIteration
        self.number += 1
        self.row.append(line)
        self.size += len(line)
        if self.size > _LONGEST_ROW:
            raise self.reading.error(
                "E0709", f"{self.path}, line {self.first}: a row of more than {_LONGEST_ROW:,} characters"
            )
        return line


def no_text(reading: Reading, path: Path, file: BinaryIO) -> ModelError:
    """The error that the content of a file, unpacked, is not UTF-8, with the first byte that is not."""
    file.seek(0)
    if file.read(2) in (b"\xff\xfe", b"\xfe\xff"):
        return reading.unreadable(path, "it is UTF-16, no UTF-8 text", help="save it as UTF-8")
    file.seek(0)
    decoder = codecs.getincrementaldecoder("utf-8")()
    line, byte, chunk = 1, "it", b" "
    while chunk:
        chunk = file.read(1 << 20)
        try:
            line += decoder.decode(chunk, final=not chunk).count("\n")
        except UnicodeDecodeError as error:
            line += error.object.count(b"\n", 0, error.start)
            byte = f"byte {error.object[error.start]:#04x}"
            break
    return reading.unreadable(
        path,
        f"line {line}: {byte} is no UTF-8 text",
        help="save it as UTF-8; if it is Latin-1 (a spreadsheet's habit): iconv -f latin1 -t utf-8",
    )


class _Quoted(NamedTuple):
    """A quoted cell: the lines of its row on which it opens and ends, counted from 0; None if it does not end."""

    first: int
    last: int | None
    is_clean: bool
    """Whether a separator or the end of the row follows."""


def _quoted(row: Sequence[str], separator: str) -> Iterator[_Quoted]:
    """The quoted cells of a row, up to the first ill-formed one."""
    is_start, is_open, is_after, opened = True, False, False, 0
    for index, line in enumerate(row):
        for character in line:
            if is_after and character != '"':
                is_clean = character in (separator, "\r", "\n")
                yield _Quoted(opened, index, is_clean)
                if not is_clean:
                    return
                is_after, is_start = False, True
            elif is_after:
                is_after, is_open = False, True
            elif is_open:
                if character == '"':
                    is_open, is_after = False, True
            elif character == '"' and is_start:
                is_open, is_start, opened = True, False, index
            else:
                is_start = character == separator
    if is_open:
        yield _Quoted(opened, None, False)
    elif is_after:
        yield _Quoted(opened, len(row) - 1, True)


def _ill_formed(reading: Reading, path: Path, lines: _Lines, separator: str, error: csv.Error) -> ModelError:
    """The error about a row that the CSV reader refuses, at the line where its quote opens."""
    cell = next((cell for cell in _quoted(lines.row, separator) if not cell.is_clean), None)
    if cell is None:
        return reading.error("E0709", f"{path}, line {lines.first}: {error}")
    if cell.last is None:
        reason = "the quote that opens here is not closed"
    else:
        reason = f"the quote that opens here ends on line {lines.first + cell.last}, and other text follows it"
    return reading.error(
        "E0709",
        f"{path}, line {lines.first + cell.first}: {reason}",
        help="close it, or leave it out; within quotes a quote is written twice",
    )


def _check_quotes(
    reading: Reading, path: Path, lines: _Lines, separator: str, cells: Sequence[str], width: int
) -> None:
    """Refuses a quoted cell that appears to include other rows: two stray quotes form a valid cell in CSV.

    Raises:
        ModelError: E0709, the cell includes other rows.
    """
    places = (cell for cell in _quoted(lines.row, separator) if cell.last != cell.first)
    for index, cell in enumerate(cells):
        others = _LINE_END.split(cell)[1:]
        if not others:
            continue
        place = next(places, None)
        counts = [line.count(separator) for line in others]
        if place is not None and (counts[-1] >= max(1, index) or max(counts) >= max(1, width - 1)):
            raise reading.error(
                "E0709",
                f"{path}, line {lines.first + place.first}: the quote that opens here takes in what looks like other "
                f"rows, up to line {lines.first + (place.last or 0)}",
                help="leave the quote out; or write a text of several lines on one",
            )
