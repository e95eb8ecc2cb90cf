"""Texts as data sets: windows of one long text, of which the next token is predicted."""

from __future__ import annotations

import gzip
import io
import os
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from graphdl.data.dataset import Array, DataSet, Field, Rows, Split
from graphdl.data.reading import Reading
from graphdl.data.request import DataRequest
from graphdl.data.text_tables import no_text, shortened
from graphdl.data.tokenizers import FileTokenizer
from graphdl.data.vocabulary import (
    SPECIAL,
    UNITS,
    Numbers,
    Tokenization,
    Tokens,
    Unit,
    Vocabulary,
    Writing,
    divided,
    unit_of,
    vocabulary,
)
from graphdl.diagnostics import ModelError
from graphdl.graph.types import TensorType

_CHUNK = 1 << 20
_BYTES_PER_CHARACTER = 32
"""The memory for the division of a text, for each byte of it."""


def read_text(reading: Reading, path: Path, factor: int = 1) -> str:
    """The content of a UTF-8 text file, packed by gzip or not, with ``\\n`` at the end of every line.

    ``factor`` is the memory for the text in bytes, for each byte of it.

    Raises:
        ModelError: E0704 or E0705, the file is missing, damaged or not UTF-8; E0718, it is too large.
    """
    with reading.open(path) as file:
        is_packed = file.read(2) == b"\x1f\x8b"
        reading.require(factor * file.seek(0, os.SEEK_END), f"{path}: the text")
        file.seek(0)
        content = io.BytesIO()
        try:
            stream = gzip.GzipFile(fileobj=file) if is_packed else file
            while chunk := stream.read(_CHUNK):
                content.write(chunk)
                reading.require(factor * content.tell(), f"{path}: the text, unpacked,")
        except (EOFError, OSError, zlib.error) as error:
            raise reading.damaged(path, f"it cannot be unpacked ({error})") from error
    try:
        text = content.getvalue().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise no_text(reading, path, content) from error
    return text.replace("\r\n", "\n").replace("\r", "\n")


@dataclass(frozen=True, eq=False)
class Windows(Field):
    """Parts of a text of equal length: ``tokens[start : start + length]`` for each of ``starts``."""

    tokens: Numbers
    starts: Rows
    type: TensorType
    path: Path

    def __len__(self) -> int:
        return len(self.starts)

    def take(self, rows: Rows) -> Array:
        return np.ascontiguousarray(self.tokens[self.starts[rows][:, None] + np.arange(self.type.shape[0])])

    def select(self, rows: Rows) -> Windows:
        return replace(self, starts=self.starts[rows])

    def place(self, row: int) -> str | None:
        return f"{self.path}, from token {self.starts[row]}"


@dataclass(frozen=True)
class _Part:
    """A split before its windows are made: a part of a file's tokens."""

    split: str
    path: Path
    text: str
    tokens: Tokens
    start: int
    stop: int


def text(
    request: DataRequest,
    file: str,
    unit: Unit,
    length: int,
    most: int | None,
    lower: bool,
    step: int,
    test: float | str,
    tokenizer: str | None,
) -> DataSet:
    """See ``graphdl.data.declared``."""
    loaded = None if tokenizer is None else tokenizer_of(request, tokenizer)
    parts = _parts(request, file, loaded or unit, lower, test)
    known = request.known.class_names.get("text")
    if loaded is not None:
        entries = loaded.vocabulary((), known or ())
    elif known:
        entries = Vocabulary(tuple(known))
    else:
        tokens = parts[0].tokens
        entries = vocabulary(tokens.kinds, tokens.counts(parts[0].stop), unit, most, ())
    splits = {}
    for part in parts:
        starts = np.arange(part.start, part.stop - length, step, dtype=np.intp)
        if not len(starts):
            raise request.error(
                "E0712",
                f"the split '{part.split}' of {part.path} has {part.stop - part.start} {UNITS[unit]}: they fill no "
                f"window of {length} and the one that follows",
                argument="length",
            )
        numbers = encoded(request.reading, part.path, part.text, part.tokens, entries, unit)
        kind = TensorType((length,), "int", len(entries))
        fields: dict[str, Field] = {
            "text": Windows(numbers, starts, kind, part.path),
            "next": Windows(numbers, starts + 1, kind, part.path),
        }
        splits[part.split] = Split(part.split, fields)
    way = Writing("text", unit, lower, "windows", length, tokenizer=None if loaded is None else str(loaded.path))
    return DataSet(
        parts[0].path.stem,
        splits,
        class_names={"text": entries.names},
        writings=dict.fromkeys(("text", "next"), way),
        span=request.setting.span,
        files=[*dict.fromkeys(part.path for part in parts), *([loaded.path] if loaded is not None else [])],
        is_divided=True,
    )


def tokenizer_of(request: DataRequest, file: str) -> FileTokenizer:
    """The tokenizer in a file that the setting names."""
    return FileTokenizer(request.reading, request.place(file, "tokenizer", Path.is_file).absolute())


def _parts(request: DataRequest, file: str, by: Tokenization, lower: bool, test: float | str) -> list[_Part]:
    """The parts of each split. The last ones of the training's file are those of validation and of the test."""
    path = request.place(file, "file", Path.is_file)
    content, tokens = _read(request, path, by, lower)
    count = len(tokens.ids)
    stop = count if isinstance(test, str) else count - round(test * count)
    trained = stop - round(request.validation * stop)
    parts = [_Part("train", path, content, tokens, 0, trained)]
    if request.validation:
        parts.append(_Part("validation", path, content, tokens, trained, stop))
    if isinstance(test, str):
        second = request.place(test, "test", Path.is_file)
        content, tokens = _read(request, second, by, lower)
        parts.append(_Part("test", second, content, tokens, 0, len(tokens.ids)))
    elif test:
        parts.append(_Part("test", path, content, tokens, stop, count))
    return parts


def _read(request: DataRequest, path: Path, by: Tokenization, lower: bool) -> tuple[str, Tokens]:
    content = read_text(request.reading, path, _BYTES_PER_CHARACTER)
    content = content.lower() if lower else content
    tokens = divided(content, by)
    if not len(tokens.ids):
        raise request.error("E0709", f"{path} has no {UNITS[unit_of(by)]}", argument="file")
    return content, tokens


def encoded(reading: Reading, path: Path, content: str, tokens: Tokens, entries: Vocabulary, unit: Unit) -> Numbers:
    """The numbers of the tokens.

    Raises:
        ModelError: E0706, a token has no number.
    """
    numbers = entries.of(tokens.kinds)
    if (numbers < 0).any():
        raise _without_number(reading, path, content, tokens, numbers, unit)
    return numbers[tokens.ids]


def _without_number(
    reading: Reading, path: Path, content: str, tokens: Tokens, numbers: Sequence[int] | NDArray[np.int32], unit: Unit
) -> ModelError:
    kind = next(kind for kind, number in zip(tokens.kinds, numbers, strict=True) if number < 0)
    line = content.count("\n", 0, max(0, content.find(kind))) + 1
    what = "character" if unit == "char" else "word"
    return reading.error(
        "E0706",
        f"{path}, line {line}: the {what} {shortened(kind)!r} does not occur in the training text",
        help="with a smaller 'vocabulary' than the training text has, one number stands for all other characters",
    )


def tokenization(reading: Reading, writing: Writing, entries: Vocabulary) -> Tokenization:
    """The way in which a field's text was divided in training.

    Raises:
        ModelError: as ``FileTokenizer``; E0706, its tokens are not those of the training.
    """
    if writing.tokenizer is None:
        return writing.unit
    tokenizer = FileTokenizer(reading, Path(writing.tokenizer))
    tokenizer.vocabulary([name for name in entries.names if name in SPECIAL], entries.names)
    return tokenizer


def windows(reading: Reading, path: Path, entries: Vocabulary, writing: Writing) -> Array:
    """The windows of a text for a prediction, one after the other. The last one ends with the text.

    Raises:
        ModelError: as ``read_text`` and ``encoded``; E0714, the text is shorter than a window.
    """
    by = tokenization(reading, writing, entries)
    content = read_text(reading, path, _BYTES_PER_CHARACTER)
    content = content.lower() if writing.lower else content
    tokens = divided(content, by)
    count, length = len(tokens.ids), writing.length
    if count < length:
        raise reading.error(
            "E0714", f"{path} has {count} {UNITS[writing.unit]}, the net was trained on windows of {length}"
        )
    numbers = encoded(reading, path, content, tokens, entries, writing.unit)
    starts = sorted({*range(0, count - length + 1, length), count - length})
    return np.stack([numbers[start : start + length] for start in starts])
