"""Recovery from syntax errors: removes the statements with errors from the tokens of a file, and reports the errors.

Lark's ``InteractiveParser`` reads the tokens one by one. It is copied at the start of each body. After an unexpected
token the copy of the current body continues behind the statement. If the statement has a body, only its header is
replaced. The remaining tokens are then parsed for the tree.

A single pass is not possible, because lark cannot remove the symbols of a statement from the parser's stacks. A copy
from before the statement does not help: copies share the lists of statements, which lark extends in place.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from lark import UnexpectedToken
from lark.parsers.lalr_interactive_parser import InteractiveParser

from graphdl.diagnostics import Diagnostic
from graphdl.language.actions import Actions
from graphdl.language.builder import Builder
from graphdl.language.grammar import END, NEWLINE, grammar, read_by
from graphdl.language.lexer import Lexed, LimitError, Token
from graphdl.language.syntax_errors import explain
from graphdl.source import Places, Source, Span

# Words that begin only statements: of a body, of a train section and of a file. A statement can begin where one of them
# is accepted.
_MARKS = ("assert", "only", "net")

# The headers that replace a header with an error, so that its body is read.
_HEADERS = {
    "net": ("net", "NAME"),
    "block": ("block", "NAME", ":", "->", "NAME"),
    "train": ("train",),
    "turn": ("turn", "NAME"),
    "if": ("if", "NAME"),
    "for": ("for", "NAME", "in", "NAME"),
    "scan": ("NAME", "=", "scan", "NAME", "in", "NAME"),
    "repeat": ("NAME", "=", "repeat", "NAME"),
}


@dataclass(frozen=True, slots=True)
class Mended:
    """Tokens that parse, and the errors in the tokens of the source."""

    tokens: Sequence[Token]
    diagnostics: list[Diagnostic] = field(default_factory=list)
    places: tuple[Span, ...] = ()
    """The spans of the headers that were replaced."""
    lost: frozenset[str] = frozenset()
    """The names that the removed statements would have assigned. ``*`` represents the names of an import."""


def mend(source: Source, lexed: Lexed) -> Mended:
    """The tokens of a source that parse, and the error of each statement or header that does not."""
    return _Recovery(source, lexed).run()


def following(source: Source, tokens: Sequence[Token]) -> frozenset[str] | None:
    """The types of tokens that can follow ``tokens``, which may end anywhere. None if the last statement is wrong."""
    first = next((i + 1 for i in reversed(range(len(tokens))) if tokens[i].type == NEWLINE and not tokens[i].depth), 0)
    end = tokens[-1].end if tokens else 0
    try:
        return _Recovery(source, Lexed([*tokens[first:], Token(END, "", end, end, 0)])).follow()
    except LimitError:
        return None


@dataclass(slots=True)
class _Start:
    """The start of the statements of a body or of the file."""

    parser: InteractiveParser
    """The parser before the first statement."""
    kept: int
    """The number of tokens that are kept before the current statement."""
    depth: int
    """The number of brackets around the statements."""


class _Recovery:
    def __init__(self, source: Source, lexed: Lexed) -> None:
        self.source = source
        self.lexed = lexed
        self.tokens = lexed.tokens
        self.misread = Places(d.span for d in lexed.diagnostics if d.span is not None)
        self.types = grammar().types
        self.words = grammar().words
        self.parser = grammar().lark.parse_interactive()
        self.kept: list[Token] = []
        self.open: list[_Start | None] = []
        """The starts of the file and of each open brace. The entry of a brace without statements is None."""
        self.expected: dict[tuple[str, ...], frozenset[str]] = {}
        """Maps the token types of a statement up to an unexpected token to the types that are accepted in its place."""
        self.diagnostics: list[Diagnostic] = []
        self.mended: list[Span] = []
        self.lost: set[str] = set()
        self.resumed = 0
        """The index of the token at which reading resumed after the last error."""
        self.open_body(0)

    def run(self) -> Mended:
        index = 0
        while index < len(self.tokens):
            index = index + 1 if self.feed(self.tokens[index]) else self.recover(index)
        return Mended(self.kept, self.diagnostics, tuple(self.mended), frozenset(self.lost))

    def follow(self) -> frozenset[str] | None:
        index = 0
        while self.tokens[index].type != END:
            index = index + 1 if self.feed(self.tokens[index]) else self.recover(index)
        is_dropped = index > 0 and index == self.resumed and self.tokens[index - 1].type not in ("{", NEWLINE)
        return None if is_dropped else self.accepts()

    def feed(self, token: Token) -> bool:
        """Feeds one token to the parser and keeps it. False if the token is unexpected."""
        try:
            if token.type == END:
                self.parser.feed_eof()
            else:
                self.parser.feed_token(self.words[token.type])
        except UnexpectedToken:
            return False
        self.kept.append(token)
        if token.type == "{":
            self.open_body(token.depth + 1)
        elif token.type == "}":
            self.open.pop()
        elif token.type == NEWLINE and (start := self.open[-1]) is not None:
            start.kept = len(self.kept)
        return True

    def open_body(self, depth: int) -> None:
        """Adds an entry to ``open``, with a copy of the parser if statements begin here."""
        begins = any(self.may_follow(mark) for mark in _MARKS)
        self.open.append(_Start(self.parser.copy(deepcopy_values=False), len(self.kept), depth) if begins else None)

    def may_follow(self, type: str) -> bool:
        return self.words[type].type in self.parser.choices()

    def accepted(self, start: _Start, token: Token) -> frozenset[str]:
        """The types that are accepted in place of an unexpected token. Lark tries every type; the result is cached."""
        mark = next(mark for mark in _MARKS if self.words[mark].type in start.parser.choices())
        key = (mark, *(kept.type for kept in self.kept[start.kept :]), token.type)
        if key not in self.expected:
            self.expected[key] = self.accepts()
        return self.expected[key]

    def accepts(self) -> frozenset[str]:
        return frozenset(self.types[name] for name in self.parser.accepts())

    def recover(self, index: int) -> int:
        """Reports an unexpected token, removes its statement, and returns the index at which reading resumes."""
        start = self.innermost()
        expected = self.accepted(start, self.tokens[index])
        first = begin = self.statement_start(index, start.depth)
        if first < index and self.tokens[index - 1].type == "}" and NEWLINE in expected:
            # The statement is complete with its body, so only the tokens behind the body are removed.
            begin = index
            end = self.tokens[index - 1].end
            self.feed(Token(NEWLINE, "", end, end, start.depth))
        elif self.tokens[index].type != END:
            self.read_again(start, self.tokens[index])
        stop = self.statement_end(begin, index, start.depth)
        low, high = self.tokens[begin].start, self.tokens[min(stop + 1, len(self.tokens) - 1)].start
        if not self.misread.begin_within(low, high + 1):
            self.diagnostics.append(explain(self.source, self.tokens, first, index, expected))
        self.lose(begin, stop)
        if self.tokens[stop].type == END:
            del self.open[1:]
            start = self.innermost()
        self.parser = start.parser.copy(deepcopy_values=False)
        del self.kept[start.kept :]
        if self.tokens[stop].type == "{":
            self.mended.append(Span(self.source, low, self.tokens[stop].end))
            self.take_header(begin, stop)
        self.resumed = stop + 1 if self.tokens[stop].type in ("{", NEWLINE) else stop
        return self.resumed

    def read_again(self, start: _Start, wrong: Token) -> None:
        """Reports the other errors in the part of a removed statement that was read. The tree will not contain it."""
        builder = Builder([*self.kept[start.kept :], wrong, wrong], Actions(self.source, self.lexed, self.diagnostics))
        parser = start.parser.copy(deepcopy_values=False)
        with read_by(builder), suppress(UnexpectedToken):
            for type in builder.words():
                parser.feed_token(self.words[type])

    def innermost(self) -> _Start:
        """The start of the innermost open body. Braces without statements inside it are removed from ``open``."""
        while (start := self.open[-1]) is None:
            self.open.pop()
        return start

    def lose(self, first: int, stop: int) -> None:
        """Records the names that a removed statement would have assigned or a removed header would have declared."""
        if self.tokens[first].type == "import":
            self.lost.add("*")
        is_header = self.tokens[stop].type == "{"
        is_assigned, before = True, ""
        for token in self.tokens[first:stop]:
            is_assigned = is_assigned and token.type not in ("=", ":", "->")
            if token.type == "NAME" and (is_header or is_assigned or before == "as"):
                self.lost.add(token.text)
            before = token.type

    def statement_start(self, index: int, depth: int) -> int:
        """The index of the first token of the statement. Tokens before ``resumed`` are not searched again."""
        while index > self.resumed:
            before = self.tokens[index - 1]
            if (before.type == NEWLINE and before.depth == depth) or (before.type == "{" and before.depth == depth - 1):
                break
            index -= 1
        return index

    def statement_end(self, first: int, index: int, depth: int) -> int:
        """The index of the token that ends the statement or opens its body."""
        before = {t.type for t in self.tokens[first:index]}
        while True:
            token = self.tokens[index]
            if token.type == "{" and token.depth == depth and _opens_no_body(before):
                while not self.closes(index, depth) and self.tokens[index].type != END:
                    before.add(self.tokens[index].type)
                    index += 1
                continue
            if token.type == END or (token.type == NEWLINE and token.depth == depth):
                return index
            if (token.type == "{" and token.depth == depth) or (token.type == "}" and token.depth == depth - 1):
                return index
            before.add(token.type)
            index += 1

    def closes(self, index: int, depth: int) -> bool:
        return self.tokens[index].type == "}" and self.tokens[index].depth == depth

    def take_header(self, first: int, opener: int) -> None:
        """Feeds a header of the same kind as the one with the error, and the brace that opens its body."""
        tokens = self.tokens[first:opener]
        depth = self.tokens[opener].depth
        kind = next((t.type for t in reversed(tokens) if t.depth == depth and t.type in ("scan", "repeat")), None)
        kind = kind or next((t.text for t in tokens if t.text in _HEADERS), None)
        if kind not in _HEADERS or not self.may_follow(_HEADERS[kind][0]):
            kind = next(k for k in ("net", "if", "train") if self.may_follow(k) or k == "train")
        name = next((t.text for t in tokens[1:2] if t.type == "NAME"), "_")
        start = tokens[0].start if tokens else self.tokens[opener].start
        for type in _HEADERS[kind]:
            if not self.feed(Token(type, name if type == "NAME" else type, start, start, depth)):
                break
        self.feed(self.tokens[opener])


def _opens_no_body(before: set[str]) -> bool:
    """Whether a brace is a mistake, as in ``y = {1, 2}``.

    ``before`` are the types of the tokens before it in its statement. None of them begins a statement with a body.
    """
    return "=" in before and before.isdisjoint(_HEADERS)
