"""The grammar of the language, ``grammar/net.lark``, and lark's parser of it.

Lark takes a fifth of a second to build the parser. So the parser is saved in the user's cache folder. The key is the
text of the grammar, lark's options, and the releases of lark and Python. A parser that is missing, damaged or of
another release is built again. This is no error.
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
"""The most bytes of saved parsers. One parser takes a tenth of a megabyte."""


class Reader(Protocol):
    """Supplies tokens to lark, and makes a value of each token and each rule during the parse."""

    def words(self) -> Iterator[str]:
        """Yields the types of the tokens, without the end."""

    def shift(self) -> Any:
        """The value of the token whose type ``words`` yielded last."""

    def reduce(self, rule: str, symbols: list[Any]) -> Any:
        """The value of a rule.

        ``symbols`` are the values of its symbols, as ``shift`` and ``reduce`` returned them. The value of a symbol in
        an absent optional part is None.
        """


_reader: ContextVar[Reader | None] = ContextVar("reader", default=None)
"""The reader of the current parse.

It is not an attribute of the callbacks, because lark loads a saved parser with the callbacks that were saved.
"""


@contextmanager
def read_by(reader: Reader) -> Iterator[None]:
    """Makes ``reader`` the reader of every parse within the context. Without a reader all values are None."""
    before = _reader.set(reader)
    try:
        yield
    finally:
        _reader.reset(before)


class Rules:
    """Lark's callbacks, as attributes with the names of terminals and rules.

    Lark adds rules for repetitions. Their names begin with ``_``, and they have no callback.
    """

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
    """Passes tokens on to lark unchanged, because the language has its own lexer."""

    def __init__(self, configuration: Any) -> None: ...

    def lex(self, tokens: Any, parser_state: Any = None) -> Iterator[Token]:
        return iter(tokens)


@dataclass(frozen=True, slots=True)
class Grammar:
    """Lark's parser, and the token type of the language for each of lark's terminals.

    The type of a token with a fixed text is that text. Lark's name of its terminal is different.
    """

    lark: Lark
    words: dict[str, Token]
    """Maps each token type to a token for lark, whose type is lark's name of the terminal."""
    types: dict[str, str]
    """Maps lark's name of each terminal to the token type."""
    literals: frozenset[str]
    """The types of the tokens with a fixed text."""
    patterns: dict[str, str]
    """Maps each of the other types to its regular expression."""

    def parse(self, reader: Reader) -> Any:
        """The value that the reader makes of the rule ``file``.

        Raises:
            UnexpectedToken: (lark's) the tokens are not a valid file.
        """
        with read_by(reader):
            return self.lark.parse(map(self.words.__getitem__, reader.words()))


@cache
def grammar() -> Grammar:
    """The grammar, with the saved parser or a new one."""
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
        with suppress(Exception):  # a pickle of classes that no longer exist may raise anything
            return Lark.load(io.BytesIO(saved))
    parser = build(text)
    file = io.BytesIO()
    parser.save(file)
    kept.put(file.getvalue(), *key)
    return parser
