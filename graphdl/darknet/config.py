"""The sections of a Darknet ``.cfg`` file.

The format is that of ``configparser``, but several sections have the same name, and their order counts.
"""

from __future__ import annotations

import configparser
import re
from collections.abc import Mapping
from dataclasses import dataclass

from graphdl.diagnostics import Diagnostic, ModelError

_HEADER = re.compile(r"^[ \t]*\[[ \t]*([^\]\n]*?)[ \t]*\][ \t]*\r?$", re.MULTILINE)


class UnsupportedLayerError(Exception):
    """A layer, or one of its options, has no counterpart in the language."""


@dataclass(frozen=True)
class Section:
    """A section: its kind, its number among the layers (the first section is no layer and has -1), its options."""

    kind: str
    number: int
    options: Mapping[str, str]

    def text(self, name: str, default: str) -> str:
        return self.options.get(name, default).strip()

    def whole(self, name: str, default: int) -> int:
        """An int.

        Raises:
            UnsupportedLayerError: the option is something else.
        """
        text = self.text(name, str(default))
        try:
            return int(text)
        except ValueError:
            raise UnsupportedLayerError(f"{name} = {text} is no int") from None

    def number_of(self, name: str, default: float) -> float:
        """A float.

        Raises:
            UnsupportedLayerError: the option is something else.
        """
        text = self.text(name, str(default))
        try:
            return float(text)
        except ValueError:
            raise UnsupportedLayerError(f"{name} = {text} is no number") from None

    def several(self, name: str) -> list[int]:
        """Ints between commas.

        Raises:
            UnsupportedLayerError: the option is missing or something else.
        """
        text = self.text(name, "")
        try:
            return [int(item) for item in text.split(",")]
        except ValueError:
            raise UnsupportedLayerError(f"{name} = {text} is no list of ints") from None


def sections(text: str, name: str) -> list[Section]:
    """The sections in their order. The first is ``net`` or ``network``.

    Raises:
        ModelError: E0904, the text has another format.
    """
    numbers = iter(range(-1, len(text)))
    kinds: list[str] = []

    def numbered(match: re.Match[str]) -> str:
        kinds.append(match[1])
        return f"[{next(numbers)}]"

    parser = configparser.RawConfigParser(
        delimiters=("=",), comment_prefixes=("#", ";"), strict=False, empty_lines_in_values=False
    )
    try:
        parser.read_string(_HEADER.sub(numbered, text), name)
    except configparser.Error as error:
        reason = " ".join(str(error).split())
        raise ModelError(Diagnostic("E0904", f"{name} is no Darknet configuration ({reason})")) from error
    if not kinds or kinds[0] not in ("net", "network"):
        raise ModelError(Diagnostic("E0904", f"{name} is no Darknet configuration: its first section is not [net]"))
    return [Section(kind, number, dict(parser[str(number)])) for number, kind in enumerate(kinds, start=-1)]
