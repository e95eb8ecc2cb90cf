"""Sequences of tokens of different lengths as fields: padded numbers, lengths and masks."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from graphdl.data.dataset import Array, ArrayField, Field, Origin, Rows
from graphdl.data.vocabulary import BEGIN, END, PAD, Numbers, Tokenization, Tokens, Vocabulary, Writing, tokens_of
from graphdl.graph.types import TensorType


@dataclass(frozen=True, eq=False)
class Padded(Field):
    """Sequences as rows of equal length, filled up with ``pad``: ``tokens[start : start + length]`` of each example."""

    tokens: Numbers
    starts: Rows
    lengths: Rows
    type: TensorType
    pad: int
    before: int | None = None
    """The number that comes before the tokens."""
    after: int | None = None
    """The number that comes after the tokens."""
    origin: Origin | None = None

    def __len__(self) -> int:
        return len(self.starts)

    def take(self, rows: Rows) -> Array:
        count = self.lengths[rows][:, None]
        shift = int(self.before is not None)
        place = np.arange(self.type.shape[0]) - shift
        found = np.full((len(rows), len(place)), self.pad, np.int32)
        is_token = (place >= 0) & (place < count)
        found[is_token] = self.tokens[(self.starts[rows][:, None] + place)[is_token]]
        if self.before is not None:
            found[:, 0] = self.before
        if self.after is not None:
            found[place == count] = self.after
        return found

    def select(self, rows: Rows) -> Padded:
        origin = self.origin.select(rows) if self.origin is not None else None
        return replace(self, starts=self.starts[rows], lengths=self.lengths[rows], origin=origin)

    def place(self, row: int) -> str | None:
        return self.origin.of(row) if self.origin is not None else None


@dataclass(frozen=True, eq=False)
class Mask(Field):
    """True for the first ``lengths`` elements of each example, false for the padding after them."""

    lengths: Rows
    type: TensorType

    def __len__(self) -> int:
        return len(self.lengths)

    def take(self, rows: Rows) -> Array:
        return np.arange(self.type.shape[0]) < self.lengths[rows][:, None]

    def select(self, rows: Rows) -> Mask:
        return replace(self, lengths=self.lengths[rows])


def length_of(lengths: Rows) -> ArrayField:
    """The lengths as a field of ints."""
    return ArrayField(lengths.astype(np.int32), TensorType((), "int"))


@dataclass(frozen=True)
class Lines:
    """The tokens of several texts, one after the other, and the number of tokens of each text."""

    tokens: Tokens
    lengths: Rows

    @property
    def starts(self) -> Rows:
        """The place of the first token of each text."""
        return np.cumsum(self.lengths) - self.lengths

    def counts(self, rows: Rows) -> NDArray[np.intp]:
        """The number of occurrences of each kind of token in some of the texts."""
        is_chosen = np.zeros(len(self.lengths), np.bool_)
        is_chosen[rows] = True
        chosen = self.tokens.ids[np.repeat(is_chosen, self.lengths)]
        return np.bincount(chosen, minlength=len(self.tokens.kinds))


def lines_of(texts: Iterable[str], by: Tokenization, lower: bool, most: int | None = None) -> Lines:
    """Divides several texts into tokens, of which the first ``most`` are kept."""
    kinds: dict[str, int] = {}
    ids = array("q")
    lengths = []
    for text in texts:
        before = len(ids)
        tokens = tokens_of(text.lower() if lower else text, by)[:most]
        ids.extend(kinds.setdefault(token, len(kinds)) for token in tokens)
        lengths.append(len(ids) - before)
    return Lines(Tokens(list(kinds), np.array(ids, np.intp)), np.array(lengths, np.intp))


def sequences(lines: Lines, entries: Vocabulary, writing: Writing, origin: Origin | None = None) -> Field:
    """The field that ``writing`` describes, with an example for each text. No text is longer than its length."""
    lengths = lines.lengths + writing.begin + writing.end
    match writing.gives:
        case "length":
            return length_of(lengths)
        case "mask":
            return Mask(lengths, TensorType((writing.length,), "bool"))
    return Padded(
        np.append(entries.of(lines.tokens.kinds), np.int32(0))[lines.tokens.ids],
        lines.starts,
        lines.lengths,
        TensorType((writing.length,), "int", len(entries)),
        entries.numbers[PAD],
        entries.numbers[BEGIN] if writing.begin else None,
        entries.numbers[END] if writing.end else None,
        origin,
    )


def writings(name: str, writing: Writing) -> dict[str, Writing]:
    """The ways of a field of tokens, of its length and of its mask, by name."""
    return {
        name: writing,
        f"{name}_length": replace(writing, gives="length"),
        f"{name}_mask": replace(writing, gives="mask"),
    }
