"""A diagnostic as text for people: the message, the place, the source lines with marks under them, and the help.

::

    error[E0401]: conv expects an input of rank 3, found [784]
     --> lenet.net:7:16
      |
    5 |     flat = image -> flatten
      |                     ------- this makes [784]
    6 |
    7 |     c1 = flat -> conv(20, 5)
      |                  ^^^^^^^^^^^ expected [c, h, w]
      = help: put conv before flatten
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from graphdl.diagnostics import Diagnostic, Label
from graphdl.source import Source, Span

_TAB = 4
_WIDEST = 160
"""The most characters of a source line that are shown."""
_BETWEEN = 1
"""The number of lines between two marked ones up to which they are shown."""

_RED, _YELLOW, _BLUE, _CYAN, _BOLD = "1;31", "1;33", "1;34", "1;36", "1"

_STEERING = re.compile(
    "[\\x00-\\x08\\x0a-\\x1f\\x7f-\\x9f"  # C0 without the tab, DEL, C1
    "\\xad\\u061c\\u200b\\u200e\\u200f\\u2028-\\u202e\\u2060-\\u206f\\ufeff\\ufff9-\\ufffb"  # unseen; direction
    "\\ud800-\\udfff\\U000e0000-\\U000e0fff]"  # halves of pairs (bytes that are not UTF-8), tags
)
"""Characters that control a terminal, change the reading order, are invisible, or cannot be encoded."""


def printable(text: str) -> str:
    r"""A line of text that is safe to show: characters that could control a terminal or hide text are escaped.

    Line feeds are escaped, too. Tabs and the joiners that some scripts need are kept. A byte of a file name that is not
    UTF-8 is shown as ``\xff``.
    """
    return text if text.isascii() and text.isprintable() else _STEERING.sub(_escape, text)


def printable_lines(text: str) -> str:
    """``printable`` for a text of several lines. Its line feeds are kept."""
    return "\n".join(map(printable, text.split("\n")))


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    if 0xDC80 <= code <= 0xDCFF:  # how Python holds the bytes 0x80 to 0xff of a name that is not UTF-8
        code -= 0xDC00
    short = {"\n": "\\n", "\r": "\\r"}.get(match[0])
    return short or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}")


@dataclass(frozen=True)
class _Mark:
    """A range of one line to underline, in characters from the start of the line."""

    line: int
    start: int
    end: int
    text: str
    primary: bool


def render(diagnostic: Diagnostic, color: bool = False) -> str:
    """The text of a diagnostic in several lines, without a final line break.

    With ``color`` it contains ANSI escape sequences.
    """
    return "\n".join(_Renderer(diagnostic, color).lines())


class _Renderer:
    def __init__(self, diagnostic: Diagnostic, color: bool) -> None:
        self.diagnostic = diagnostic
        self.color = color
        self.shade = _RED if diagnostic.is_error else _YELLOW
        self.places = [Label(diagnostic.span, diagnostic.label)] if diagnostic.span else []
        self.places += diagnostic.labels
        last = max((self.last_line(place.span) for place in self.places), default=0)
        self.gutter = len(str(last))

    def paint(self, text: str, shade: str) -> str:
        return f"\033[{shade}m{text}\033[0m" if self.color and text else text

    def lines(self) -> list[str]:
        diagnostic = self.diagnostic
        kind = "error" if diagnostic.is_error else "warning"
        head = self.paint(f"{kind}[{diagnostic.code}]", self.shade)
        lines = [f"{head}{self.paint(': ' + printable_lines(diagnostic.message), _BOLD)}"]
        for number, (source, marks, place) in enumerate(self.by_source()):
            arrow = "-->" if number == 0 else ":::"
            lines.append(f"{' ' * self.gutter}{self.paint(arrow, _BLUE)} {printable(str(place))}")
            lines.append(self.margin())
            lines += self.excerpt(source, marks)
        indent = " " * (self.gutter + 1) if self.places else "  "
        for word, texts, shade in (
            ("note", diagnostic.notes, _BOLD),
            ("help", (diagnostic.help,) if diagnostic.help else (), _CYAN),
        ):
            for text in texts:
                first, *others = printable_lines(text).split("\n")
                lines.append(f"{indent}{self.paint('=', _BLUE)} {self.paint(word, shade)}: {first}")
                lines += [f"{indent}{' ' * (len(word) + 4)}{other}" for other in others]
        return lines

    def by_source(self) -> list[tuple[Source, list[_Mark], Span]]:
        """The marks of each source with the first place in it. The source of the error comes first."""
        groups: list[tuple[Source, list[_Mark], Span]] = []
        for index, place in enumerate(self.places):
            source = place.span.source
            primary = index == 0 and self.diagnostic.span is not None
            group = next((g for g in groups if g[0] is source), None)
            if group is None:
                group = (source, [], place.span)
                groups.append(group)
            group[1].extend(_marks(place, primary))
        return groups

    def last_line(self, span: Span) -> int:
        return span.source.position(span.end)[0]

    # ------------------------------------------------------------------------------------------------------- excerpt

    def margin(self, line: int | None = None, text: str = "") -> str:
        number = "" if line is None else str(line)
        return f"{self.paint(f'{number:>{self.gutter}} |', _BLUE)} {text}".rstrip()

    def excerpt(self, source: Source, marks: Sequence[_Mark]) -> list[str]:
        lines: list[str] = []
        shown: int | None = None
        for number in sorted({mark.line for mark in marks}):
            if shown is not None and number - shown - 1 > _BETWEEN:
                lines.append(self.paint("...", _BLUE))
            elif shown is not None:
                lines += [self.margin(n, _Line(source.line(n), 0).shown) for n in range(shown + 1, number)]
            own = [mark for mark in marks if mark.line == number]
            line = _Line(source.line(number), min(mark.start for mark in own))
            lines.append(self.margin(number, line.shown))
            lines += [self.margin(None, row) for row in self.underline(line, own)]
            shown = number
        return lines

    def underline(self, line: _Line, marks: Sequence[_Mark]) -> list[str]:
        """The rows below a line: the marks and the rightmost one's text, followed by the other texts."""
        row: list[str] = []
        for mark in sorted(marks, key=lambda m: m.primary):
            start, end = line.column(mark.start), line.column(mark.end)
            end = max(end, start + 1)
            row += [" "] * (end - len(row))
            row[start:end] = ["^" if mark.primary else "-"] * (end - start)
        worded = sorted((m for m in marks if m.text), key=lambda m: (m.start, m.end))
        if not worded:
            return [self.painted(row)]
        last = worded.pop()
        rows = [f"{self.painted(row)} {self.worded(last)}"]
        columns = [line.column(mark.start) for mark in worded]
        if worded:
            rows.append(self.hangers(columns))
        while worded:
            mark, column = worded.pop(), columns.pop()
            left = self.hangers([c for c in columns if c < column], column)
            rows.append(left + self.worded(mark))
        return rows

    def painted(self, row: Sequence[str]) -> str:
        runs = ["".join(run) for _, run in groupby(row)]
        shades = {"^": self.shade, "-": _BLUE}
        return "".join(self.paint(run, shades[run[0]]) if run[0] in shades else run for run in runs)

    def worded(self, mark: _Mark) -> str:
        return self.paint(printable(mark.text.replace("\n", " ")), self.shade if mark.primary else _BLUE)

    def hangers(self, columns: Sequence[int], width: int = 0) -> str:
        row = [" "] * max([width, *(c + 1 for c in columns)])
        for column in columns:
            row[column] = "|"
        return "".join(self.paint(c, _BLUE) if c == "|" else c for c in row)


class _Line:
    """A source line as it is shown: with expanded tabs, shortened if it is very long, and with the columns of its
    characters.
    """

    def __init__(self, text: str, focus: int) -> None:
        begin = max(0, focus - _WIDEST // 4) if len(text) > _WIDEST else 0
        cut = text[begin : begin + _WIDEST]
        self.begin = begin
        self.columns = [0]
        shown = []
        if begin:
            shown.append("…")
            self.columns = [1]
        for character in cut:
            column = self.columns[-1]
            if character == "\t":
                width = _TAB - column % _TAB
                shown.append(" " * width)
            else:
                width, seen = _shown(character)
                shown.append(seen)
            self.columns.append(column + width)
        self.shown = "".join(shown) + ("…" if begin + _WIDEST < len(text) else "")

    def column(self, offset: int) -> int:
        """The column at which a character of the line is shown, or the nearest edge."""
        return self.columns[max(0, min(offset - self.begin, len(self.columns) - 1))]


def _marks(place: Label, primary: bool) -> list[_Mark]:
    """One mark for a place on one line, or two for a place on several: on its first line and on its last."""
    span = place.span
    start_line, start = span.source.position(span.start)
    end_line, end = span.source.position(max(span.end, span.start))
    if end_line > start_line and end == 1:  # up to and with an end of line
        end_line -= 1
        end = len(span.source.line(end_line)) + 1
    if start_line == end_line:
        return [_Mark(start_line, start - 1, end - 1, place.text, primary)]
    last = span.source.line(end_line)
    return [
        _Mark(start_line, start - 1, len(span.source.line(start_line)), "", primary),
        _Mark(end_line, len(last) - len(last.lstrip()), end - 1, place.text, primary),
    ]


def _shown(character: str) -> tuple[int, str]:
    """The number of terminal columns of a character in an excerpt, and the text that is shown for it."""
    if not character.isprintable() or printable(character) != character:
        return 1, "\N{REPLACEMENT CHARACTER}"  # an escape would shift the marks below
    if unicodedata.combining(character) or unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0, character
    return (2 if unicodedata.east_asian_width(character) in ("W", "F") else 1), character
