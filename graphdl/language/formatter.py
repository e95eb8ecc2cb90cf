"""The canonical style: one statement on a line, four spaces for a level, fixed spaces between tokens, 120 columns.

Tokens and comments stay unchanged; only the space between them changes. So the syntax tree stays the same. Formatting
is idempotent.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from graphdl.diagnostics import ModelError
from graphdl.language.grammar import NEWLINE
from graphdl.language.layout import WIDTH, Body, Line, Text, lay_out
from graphdl.language.parser import parse
from graphdl.source import Source

_STANDS_APART = frozenset(["block", "net", "train"])


def format_source(source: Source) -> str:
    """The text of a source in the canonical style.

    Raises:
        ModelError: the source has syntax errors.
    """
    _, diagnostics = parse(source)
    if diagnostics:
        raise ModelError(*diagnostics)
    text = Text(source)
    lines = list(_statements(text, Body(0, len(text.tokens) - 1, 0)))
    return "".join(f"{line}\n" for line in _with_comments(lines))


def _statements(text: Text, body: Body) -> Iterator[Line]:
    """The lines of a body's statements and comments. One of several empty lines by the author is kept."""
    tokens = text.tokens
    end = tokens[body.first - 1].end if body.first else 0
    start = body.first
    above: str | None = None
    """The first word of the statement above."""
    while True:
        word = tokens[start].type if start < body.last else ""
        apart = above in _STANDS_APART or (above is not None and word in _STANDS_APART)
        comments = [c for c in text.comments_between(end, tokens[start].start) if text.stands_alone(c)]
        for place in comments if start == body.last else [*comments, tokens[start].start]:
            if above is not None and (apart or _empty_line_before(text, place)):
                yield Line(0)
            apart, above = False, above or "#"
            if place in comments:
                yield Line(body.indent, comment=text.comment(place))
                above = "#"
        if start == body.last:
            return
        stop = start
        while tokens[stop].type != NEWLINE or tokens[stop].depth != tokens[start].depth:
            stop += 1
        for part in lay_out(text, start, stop, body.indent):
            if isinstance(part, Body):
                yield from _statements(text, part)
            else:
                yield part
        above, end, start = word, tokens[stop - 1].end, stop + 1


def _empty_line_before(text: Text, offset: int) -> bool:
    start = offset
    while start > 0 and text.text[start - 1].isspace():
        start -= 1
    return text.line_ends_between(start, offset) > 1


def _with_comments(lines: Sequence[Line]) -> Iterator[str]:
    """The lines as text. Trailing comments on consecutive lines are aligned."""
    for trails, group in groupby(lines, key=lambda line: bool(line.text and line.comment)):
        run = list(group)
        column = max(line.end for line in run) + 2 if trails else 0
        if column + max((len(line.comment) for line in run), default=0) > WIDTH:
            column = 0
        for line in run:
            text = " " * line.indent + line.text
            if line.comment:
                text = f"{text:<{column}}" if column else f"{text}  " if line.text else text
                text += line.comment
            yield text.rstrip()
