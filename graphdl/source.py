"""Source texts and places in them, which all stages use to refer to the user's text."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate
from typing import Literal

Origin = Literal["user", "import", "library"]
"""The origin of a text: a file of the user, an imported file, or a file of the standard library."""


@dataclass(frozen=True, eq=False)
class Source:
    """One text: a file or a string. ``name`` is shown in messages."""

    name: str
    text: str
    path: str | None = None
    """The absolute path of the file from which it was read; None for a string."""
    origin: Origin = "user"

    @cached_property
    def line_starts(self) -> list[int]:
        starts = [0]
        for index, character in enumerate(self.text):
            if character == "\n":
                starts.append(index + 1)
        return starts

    def position(self, offset: int) -> tuple[int, int]:
        """The line and the column of a character offset, both counted from 1."""
        line = bisect_right(self.line_starts, offset)
        return line, offset - self.line_starts[line - 1] + 1

    def line(self, number: int) -> str:
        """The text of a line, counted from 1, without its line end."""
        start = self.line_starts[number - 1]
        end = self.line_starts[number] - 1 if number < len(self.line_starts) else len(self.text)
        return self.text[start:end].rstrip("\r")


@dataclass(frozen=True, slots=True)
class Span:
    """The characters ``start`` (inclusive) to ``end`` (exclusive) of a source."""

    source: Source = field(repr=False)
    start: int
    end: int

    @property
    def line(self) -> int:
        return self.source.position(self.start)[0]

    @property
    def column(self) -> int:
        return self.source.position(self.start)[1]

    @property
    def text(self) -> str:
        return self.source.text[self.start : self.end]

    @property
    def in_library(self) -> bool:
        """Whether the span is in a file of the standard library."""
        return self.source.origin == "library"

    def to(self, other: Span) -> Span:
        """The span from the start of this one to the end of the other."""
        return Span(self.source, self.start, max(self.end, other.end))

    def __str__(self) -> str:
        line, column = self.source.position(self.start)
        return f"{self.source.name}:{line}:{column}"


class Places:
    """Spans of one source, for fast tests of places."""

    def __init__(self, spans: Iterable[Span]) -> None:
        ordered = sorted((span.start, span.end) for span in spans)
        self._starts = [start for start, _ in ordered]
        self._ends = list(accumulate((end for _, end in ordered), max))
        """For each span, the greatest end of it and of the spans that start before it."""

    def cover(self, offset: int) -> bool:
        """Whether one of the spans contains this character."""
        before = bisect_right(self._starts, offset)
        return before > 0 and offset < self._ends[before - 1]

    def begin_within(self, start: int, end: int) -> bool:
        """Whether one of the spans begins at or after ``start`` and before ``end``."""
        return bisect_left(self._starts, start) < bisect_left(self._starts, end)
