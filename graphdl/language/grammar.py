"""The grammar of the language, ``grammar/net.lark``, as lark reads it.

To build the parser of a grammar takes lark a fifth of a second. So it is saved among the user's caches, by the text of
the grammar and the releases of lark and Python that made it: one that is missing, damaged or of another release is
built anew, and is no error.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, Protocol

from lark import Lark, Token, __version__
from lark.lexer import Lexer, PatternStr

from graphdl.cache import BinaryCache, cache_folder
from graphdl.resources import resource

NEWLINE = "_NEWLINE"
"""The type of the token that ends a statement."""

END = "$END"
"""The type of the token after the last one."""

_OPTIONS: dict[str, Any] = {"parser": "lalr", "start": "file", "keep_all_tokens": True, "strict": True}

_LIMIT = 4 << 20
"""Bytes of saved parsers; one has a tenth of a megabyte."""


class Reader(Protocol):
    """What makes something of a text while lark parses it."""

    def words(self) -> Iterator[str]:
        """The types of the tokens, without the end."""

    def shift(self) -> Any:
        """What stands for the token that ``words`` gave last."""

    def reduce(self, rule: str, symbols: list[Any]) -> Any:
        """What stands for the symbols of a rule: for each what ``shift`` or ``reduce`` returned, or None for one of an
        optional part that is absent."""


_reader: ContextVar[Reader | None] = ContextVar("reader", default=None)
"""Of the parse that is going on. Lark opens a saved parser with the callbacks that it was saved with."""


@contextmanager
def read_by(reader: Reader) -> Iterator[None]:
    """What lark parses meanwhile is read by this reader; what it parses without one becomes None."""
    before = _reader.set(reader)
    try:
        yield
    finally:
        _reader.reset(before)


class Rules:
    """Lark's callbacks, by the names of terminals and rules. Lark makes lists by rules of its own, which begin with
    ``_`` and have none."""

    def __getattr__(self, name: str) -> Callable[[Any], Any]:
        if name.isupper():
            return _shift
        if name.startswith("_"):
            raise AttributeError(name)
        return partial(_reduce, name)


def _shift(token: Token) -> Any:
    reader = _reader.get()
    return None if reader is None else reader.shift()


def _reduce(rule: str, symbols: list[Any]) -> Any:
    reader = _reader.get()
    return None if reader is None else reader.reduce(rule, symbols)


class Given(Lexer):
    """Hands lark the tokens that it is given: the language has its own lexer."""

    def __init__(self, configuration: Any) -> None: ...

    def lex(self, tokens: Any, parser_state: Any = None) -> Iterator[Token]:
        return iter(tokens)


@dataclass(frozen=True, slots=True)
class Grammar:
    """Lark's parser, and its terminals by the language's types of tokens.

    The type of a token that is always written alike is its text; lark has a name for each.
    """

    lark: Lark
    words: dict[str, Token]
    """A token for lark of each type. Its own type is what lark calls it."""
    types: dict[str, str]
    """The type of token behind each of lark's names."""
    literals: frozenset[str]
    """The tokens that are always written alike."""
    patterns: dict[str, str]
    """Regular expressions of the others."""

    def parse(self, reader: Reader) -> Any:
        """What the reader makes of the rule ``file``.

        Raises:
            UnexpectedToken: lark's; the tokens are no file.
        """
        with read_by(reader):
            return self.lark.parse(map(self.words.__getitem__, reader.words()))


@cache
def grammar() -> Grammar:
    """The grammar, with a saved parser or one that is built."""
    text = resource("grammar/net.lark").read_text(encoding="utf-8")
    parser = _open(text)
    literals = {t.pattern.value: t.name for t in parser.terminals if isinstance(t.pattern, PatternStr)}
    patterns = {t.name: t.pattern.value for t in parser.terminals if not isinstance(t.pattern, PatternStr)}
    names = {**literals, **{name: name for name in (*patterns, END)}}
    words = {type: Token(name, "") for type, name in names.items()}
    return Grammar(parser, words, {n: t for t, n in names.items()}, frozenset(literals), patterns)


def build(text: str) -> Lark:
    """Lark's parser of a grammar. Raises lark's GrammarError if the grammar is not LALR(1)."""
    return Lark(text, lexer=Given, transformer=Rules(), **_OPTIONS)


def _open(text: str) -> Lark:
    kept = BinaryCache(cache_folder() / "grammar", _LIMIT)
    key = (text, repr(_OPTIONS), __version__, sys.version)
    saved = kept.get(*key)
    if saved is not None:
        with suppress(Exception):  # whatever is raised by a pickle of classes that are no longer there
            return Lark.load(io.BytesIO(saved))
    parser = build(text)
    file = io.BytesIO()
    parser.save(file)
    kept.put(file.getvalue(), *key)
    return parser
