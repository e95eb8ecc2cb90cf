"""The text of a net: how it is divided into tokens, and how tokens are joined."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from graphdl.data.reading import Reading
from graphdl.data.texts import tokenization
from graphdl.data.vocabulary import (
    BEGIN,
    PAD,
    UNITS,
    UNKNOWN,
    Tokenization,
    Tokenizer,
    Vocabulary,
    Writing,
    tokens_of,
)
from graphdl.diagnostics import Diagnostic, ModelError


@dataclass(frozen=True)
class Wording:
    """The texts of an input, as they were in training."""

    writing: Writing
    entries: Vocabulary
    by: Tokenization

    @classmethod
    def of(cls, reading: Reading, writing: Writing, entries: Vocabulary) -> Wording:
        """Reads the tokenizer if the text has one.

        Raises:
            ModelError: E0704 to E0706, the file is missing, or no tokenizer, or not that of the training.
        """
        return cls(writing, entries, tokenization(reading, writing, entries))

    @property
    def units(self) -> str:
        """What its tokens are, for messages."""
        return UNITS[self.writing.unit]

    @property
    def silent(self) -> list[int]:
        """The numbers of entries that are never written: they are no text."""
        return [number for name, number in self.entries.numbers.items() if name in (UNKNOWN, PAD, BEGIN)]

    def tokens(self, text: str) -> Sequence[str]:
        """The tokens of a text."""
        return tokens_of(text.lower() if self.writing.lower else text, self.by)

    def numbers(self, text: str) -> NDArray[np.int32]:
        """The tokens of a text by number ``[tokens]``.

        Raises:
            ModelError: E0709, the text has no tokens; E0706, the training text has no such token.
        """
        tokens = self.tokens(text)
        if not tokens:
            raise ModelError(Diagnostic("E0709", f"the text {text!r} has no {self.units}"))
        numbers = self.entries.of(tokens)
        if (numbers < 0).any():
            token = tokens[int(np.argmax(numbers < 0))]
            known = "".join(self.entries.names)
            raise ModelError(
                Diagnostic(
                    "E0706",
                    f"{self.units[:-1]} {token!r} does not occur in the training text",
                    notes=(f"its characters are {known!r}",) if self.writing.unit == "char" else (),
                )
            )
        return numbers

    def joined(self, tokens: Sequence[str]) -> str:
        """The text of some tokens; single spaces separate words."""
        if isinstance(self.by, str):
            return ("" if self.by == "char" else " ").join(tokens)
        return self.by.joined(tokens)

    def pieces(self, before: str, tokens: Iterable[str]) -> Iterator[str]:
        """The text that each token adds to the text ``before``."""
        if isinstance(self.by, str):
            for token in tokens:
                yield token if self.by == "char" else f" {token}"
        else:
            yield from _added(self.by, list(self.by.tokens(before)), tokens)


def _added(tokenizer: Tokenizer, so_far: list[str], tokens: Iterable[str]) -> Iterator[str]:
    """What a tokenizer's text grows by with each token. Half a character waits for its other half."""
    shown = tokenizer.joined(so_far)
    for token in tokens:
        so_far.append(token)
        text = tokenizer.joined(so_far)
        if text.endswith("\ufffd"):
            yield ""
            continue
        yield text[len(shown) :]
        shown = text
