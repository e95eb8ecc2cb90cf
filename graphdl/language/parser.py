"""From text to the syntax tree: lark parses by ``grammar/net.lark``, and ``builder.py`` makes the nodes meanwhile.

If the syntax is wrong, ``recovery.py`` reports every independent error and leaves out the tokens of the statements that
cannot be read; the remaining tokens are parsed again for the tree.
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
"""Characters of a source."""


def parse(source: Source) -> tuple[File, list[Diagnostic]]:
    """The syntax tree of a source and the errors of its syntax, in order.

    With errors the tree lacks the statements that could not be read, and says where it is not what was written.
    A source beyond a limit has no declarations.
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
    """The tree of tokens, the last of which is the end, and what is wrong in it beyond the grammar.

    Raises:
        UnexpectedToken: lark's; the tokens are no file.
        LimitError: the tree is too deep.
    """
    found: list[Diagnostic] = []
    file: File = grammar().parse(Builder(tokens, Actions(source, lexed, found)))[0]
    return file, found
