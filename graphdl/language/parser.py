"""Parsing: from text to the syntax tree.

Lark parses the tokens with the grammar ``grammar/net.lark``, and ``builder.py`` makes the nodes during the parse. If
the syntax is wrong, ``recovery.py`` reports every independent error and removes the tokens of the statements that
cannot be read. The remaining tokens are parsed again for the tree.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from lark import UnexpectedToken

from graphdl.diagnostics import Diagnostic
from graphdl.language.actions import Actions
from graphdl.language.builder import Builder
from graphdl.language.grammar import grammar
from graphdl.language.lexer import Lexed, LimitError, Token, tokenize
from graphdl.language.recovery import Mended, mend
from graphdl.language.syntax import File
from graphdl.source import Source, Span

MAXIMUM_SIZE = 1_000_000
"""The most characters of a source."""


def parse(source: Source) -> tuple[File, list[Diagnostic]]:
    """The syntax tree of a source and its syntax errors, in the order of their places.

    If there are errors, the tree lacks the statements that could not be read. Its ``spoilt`` spans are the places where
    it differs from the text. The tree of a source beyond a limit has no declarations.
    """
    if len(source.text) > MAXIMUM_SIZE:
        message = f"the file has more than {MAXIMUM_SIZE:,} characters"
        help = "split it, and import its parts"
        return File(source, ()), [Diagnostic("E0106", message, Span(source, 0, 0), help=help)]
    try:
        return _parse(source, tokenize(source))
    except LimitError as error:
        return File(source, ()), [error.diagnostic]


def _parse(source: Source, lexed: Lexed) -> tuple[File, list[Diagnostic]]:
    mended = Mended(lexed.tokens)
    try:
        file, found = _build(source, lexed, mended.tokens)
    except UnexpectedToken:
        mended = mend(source, lexed)
        file, found = _build(source, lexed, mended.tokens)
    diagnostics = lexed.diagnostics + mended.diagnostics + found
    diagnostics.sort(key=lambda d: d.span.start if d.span else 0)
    places = [*(d.span for d in diagnostics if d.span is not None), *mended.places]
    return replace(file, tokens=len(lexed.tokens), spoilt=tuple(places), lost=mended.lost), diagnostics


def _build(source: Source, lexed: Lexed, tokens: Sequence[Token]) -> tuple[File, list[Diagnostic]]:
    """The syntax tree of ``tokens``, the last of which is the end, and the errors that the grammar does not express.

    Raises:
        UnexpectedToken: (lark's) the tokens are not a valid file.
        LimitError: the tree is too deep.
    """
    found: list[Diagnostic] = []
    file: File = grammar().parse(Builder(tokens, Actions(source, lexed, found)))[0]
    return file, found
