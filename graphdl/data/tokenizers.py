"""Tokenizers in files of the library ``tokenizers``. The file determines the tokens and their numbers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from graphdl.data.reading import Reading
from graphdl.data.vocabulary import UNKNOWN, Vocabulary

_BYTES_PER_BYTE = 16
"""The memory for a tokenizer, for each byte of its file."""


class FileTokenizer:
    """The tokenizer of a file. Limits of length, padding and further marks that the file asks for are not applied."""

    def __init__(self, reading: Reading, path: Path) -> None:
        """Reads the file.

        Raises:
            ModelError: E0704 or E0705, the file is missing or no tokenizer, its tokens are not numbered from 0 on
                without gaps, or the package is missing; E0718, it is too large.
        """
        try:
            from tokenizers import Tokenizer
        except ImportError as error:
            cure = 'install it: pip install "graphdl[tokenizers]"'
            raise reading.unreadable(path, f"a tokenizer needs the package tokenizers ({error})", help=cure) from error
        self.path = path
        self._reading = reading
        with reading.open(path) as file:
            reading.require(_BYTES_PER_BYTE * file.seek(0, 2), f"{path}: the tokenizer")
            file.seek(0)
            content = file.read()
        try:
            self._tokenizer: Any = Tokenizer.from_str(content.decode("utf-8"))
        except Exception as error:  # the library raises no narrower one
            raise reading.damaged(path, f"it is no tokenizer ({error})") from error
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        found = self._tokenizer.get_vocab(with_added_tokens=True)
        self.names: tuple[str, ...] = tuple(sorted(found, key=found.__getitem__))
        """The tokens by number."""
        if not found or [found[name] for name in self.names] != list(range(len(found))):
            raise reading.unreadable(path, f"the numbers of its {len(found)} tokens are not those from 0 on")

    def tokens(self, text: str) -> Sequence[str]:
        """The tokens of a text.

        Raises:
            ModelError: E0706, the tokenizer has no token for a part of the text.
        """
        try:
            found: list[str] = self._tokenizer.encode(text, add_special_tokens=False).tokens
        except Exception as error:
            raise self._reading.error("E0706", f"{self.path} cannot divide a text: {error}") from error
        return found

    def joined(self, tokens: Sequence[str]) -> str:
        """The text of some tokens. Those that the file calls special are left out."""
        numbers = [self._tokenizer.token_to_id(token) for token in tokens]
        text: str = self._tokenizer.decode([number for number in numbers if number is not None])
        return text

    def vocabulary(self, special: Sequence[str], known: Sequence[str] = ()) -> Vocabulary:
        """The tokens, followed by those of the ``special`` entries that they lack. ``UNKNOWN`` is none of these: the
        file says what stands for an unknown token.

        Raises:
            ModelError: E0706, they are not the ``known`` ones, with which a run was trained.
        """
        own = frozenset(self.names)
        entries = (*self.names, *(name for name in special if name != UNKNOWN and name not in own))
        if known and tuple(known) != entries:
            raise self._reading.error(
                "E0706", f"{self.path} is not the tokenizer with which the run was trained: it has other tokens"
            )
        return Vocabulary(entries)
