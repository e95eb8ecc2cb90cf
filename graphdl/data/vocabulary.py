"""Text as class numbers: its division into characters or words, and the vocabulary that numbers them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Unit = Literal["char", "word", "piece"]
Numbers = NDArray[np.int32]

UNITS: Mapping[Unit, str] = {"char": "characters", "word": "words", "piece": "tokens"}
"""The names of the units, for messages."""
UNKNOWN, PAD, BEGIN, END = "<unknown>", "<pad>", "<begin>", "<end>"
"""Entries of a vocabulary that are no text. No token looks like them: a word has no ``<`` beside other signs."""
SPECIAL = frozenset({UNKNOWN, PAD, BEGIN, END})
_WORD = re.compile(r"\w+|[^\w\s]")


class Tokenizer(Protocol):
    """Divides texts into pieces, and joins these."""

    def tokens(self, text: str) -> Sequence[str]: ...

    def joined(self, tokens: Sequence[str]) -> str: ...


Tokenization = Unit | Tokenizer
"""The way in which a text is divided. The unit of a tokenizer is ``piece``."""


def unit_of(by: Tokenization) -> Unit:
    """The unit of the tokens."""
    return by if isinstance(by, str) else "piece"


def tokens_of(text: str, by: Tokenization) -> Sequence[str]:
    """The characters of a text, its words, or the pieces of a tokenizer.

    A word is a run of letters, digits and underscores. Every other sign that is no white space is a word of its own.
    """
    if not isinstance(by, str):
        return by.tokens(text)
    return text if by == "char" else _WORD.findall(text)


def read_out(rows: NDArray[np.floating[Any]], names: Sequence[str], tokenizer: Tokenizer | None = None) -> str:
    """The likeliest token of each row of probabilities, as a text up to ``END``; single spaces separate words."""
    found = [names[number] for number in rows.argmax(axis=-1).tolist()]
    found = found[: found.index(END)] if END in found else found
    if tokenizer is not None:
        return tokenizer.joined([name for name in found if name not in SPECIAL])
    joint = "" if all(len(name) == 1 or name in SPECIAL for name in names) else " "
    return joint.join(name for name in found if name != PAD)


@dataclass(frozen=True)
class Tokens:
    """The tokens of a text: ``kinds`` has each distinct one, and ``ids`` the index into ``kinds`` of every token."""

    kinds: Sequence[str]
    ids: NDArray[np.intp]

    def counts(self, stop: int) -> NDArray[np.intp]:
        """The number of occurrences of each kind before the position ``stop``."""
        return np.bincount(self.ids[:stop], minlength=len(self.kinds))


def divided(text: str, by: Tokenization) -> Tokens:
    """Divides a text into tokens."""
    if by == "char":
        codes = np.frombuffer(text.encode("utf-32-le"), "<u4")
        distinct, places = np.unique(codes, return_inverse=True)
        return Tokens(list(map(chr, distinct.tolist())), places.reshape(-1))
    kinds: dict[str, int] = {}
    ids = np.fromiter((kinds.setdefault(word, len(kinds)) for word in tokens_of(text, by)), np.intp)
    return Tokens(list(kinds), ids)


@dataclass(frozen=True)
class Vocabulary:
    """The tokens by number. ``names`` is stored in a run, as the names of classes are."""

    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def numbers(self) -> Mapping[str, int]:
        """The number of each token."""
        return {name: number for number, name in enumerate(self.names)}

    @property
    def unknown(self) -> int | None:
        """The number of tokens that have none of their own; None if there is no such number."""
        return self.numbers.get(UNKNOWN)

    def of(self, kinds: Sequence[str]) -> Numbers:
        """The numbers of some tokens; -1 for one that has none."""
        other = -1 if self.unknown is None else self.unknown
        return np.array([self.numbers.get(kind, other) for kind in kinds], np.int32)


def vocabulary(
    kinds: Sequence[str], counts: Sequence[int] | NDArray[np.intp], unit: Unit, most: int | None, special: Sequence[str]
) -> Vocabulary:
    """The vocabulary of a training text: ``special`` entries, then tokens, ``most`` entries in all.

    Words are in the order of their frequency, the most frequent one first; equally frequent ones, and characters, are
    in the order of their code points. If the tokens are too many, the most frequent ones are kept. ``UNKNOWN`` is among
    the special entries if some tokens are left out, and always for words.
    """
    found = [(kind, int(count)) for kind, count in zip(kinds, counts, strict=True) if count]
    entries = list(special)
    is_cut = most is not None and len(found) + len(entries) > most
    if (unit == "word" or is_cut) and UNKNOWN not in entries:
        entries.append(UNKNOWN)
    found.sort(key=lambda each: (-each[1], each[0]))
    kept = [kind for kind, _ in found][: None if most is None else max(0, most - len(entries))]
    return Vocabulary((*entries, *(sorted(kept) if unit == "char" else kept)))


@dataclass(frozen=True)
class Writing:
    """The way in which a field was made from text. A prediction makes its inputs from other text in the same way."""

    vocabulary: str
    """The field under which the names of the tokens are stored."""
    unit: Unit
    lower: bool
    gives: Literal["windows", "tokens", "length", "mask"]
    """``windows`` are those of a whole text. The others are of a line, or of a cell of it."""
    length: int
    """The number of tokens of a window, or the greatest one of a line."""
    column: int = 0
    """The cell of the line, counted from 0."""
    begin: bool = False
    """Whether ``BEGIN`` comes before the tokens."""
    end: bool = False
    """Whether ``END`` comes after the tokens."""
    tokenizer: str | None = None
    """The file of the tokenizer, if the unit is ``piece``."""
    is_cut: bool = False
    """Whether a longer text is cut. Otherwise it is left out of training, and an error in a prediction."""
