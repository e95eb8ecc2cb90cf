"""Conversion between offsets in a source and the protocol's positions, which count UTF-16 units unless agreed
otherwise.
"""

from __future__ import annotations

import re
from bisect import bisect_right

from lsprotocol import types

from graphdl.source import Span

_LINE_END = re.compile(r"\r\n|\n|\r")


class Positions:
    """The lines of one text. ``encoding`` is the unit of columns: UTF-8, UTF-16 or UTF-32."""

    def __init__(
        self, text: str, encoding: types.PositionEncodingKind | str = types.PositionEncodingKind.Utf16
    ) -> None:
        self.text = text
        self.encoding = types.PositionEncodingKind(encoding)
        self.starts = [0]
        self.ends: list[int] = []
        """The end of each line, without its line break."""
        for match in _LINE_END.finditer(text):
            self.ends.append(match.start())
            self.starts.append(match.end())
        self.ends.append(len(text))

    def _units(self, text: str) -> int:
        if text.isascii() or self.encoding is types.PositionEncodingKind.Utf32:
            return len(text)
        if self.encoding is types.PositionEncodingKind.Utf8:
            return len(text.encode("utf-8", "surrogatepass"))
        return len(text) + sum(character > "\uffff" for character in text)

    def position(self, offset: int) -> types.Position:
        line = bisect_right(self.starts, offset) - 1
        return types.Position(line, self._units(self.text[self.starts[line] : offset]))

    def offset(self, position: types.Position) -> int:
        """The offset of a position. A position beyond the end of a line or of the text is moved to that end."""
        if position.line >= len(self.starts):
            return len(self.text)
        start, end = self.starts[position.line], self.ends[position.line]
        line = self.text[start:end]
        if line.isascii() or self.encoding is types.PositionEncodingKind.Utf32:
            return min(start + position.character, end)
        column = 0
        for index, character in enumerate(line):
            if column >= position.character:
                return start + index
            column += self._units(character)
        return end

    def range(self, start: int, end: int) -> types.Range:
        return types.Range(self.position(start), self.position(end))

    def of(self, span: Span) -> types.Range:
        return self.range(span.start, span.end)


def moved(offset: int, old: str, new: str) -> int | None:
    """The offset in the old text for an offset in the new text; None inside the changed part."""
    start = 0
    shortest = min(len(old), len(new))
    while start < shortest and old[start] == new[start]:
        start += 1
    if offset < start:
        return offset
    rest = 0
    while rest < shortest - start and old[len(old) - 1 - rest] == new[len(new) - 1 - rest]:
        rest += 1
    return offset + len(old) - len(new) if offset >= len(new) - rest else None
