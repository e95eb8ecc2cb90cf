"""Train sections: the table of their words, and the content of one in a file.

Each field of ``TrainSection`` with a ``Word`` is a word of the language. The parser's messages, the expansion, the
language server, the training stage and the settings that a run writes all read ``WORDS``. A new word is a field here
and the code that uses it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from graphdl.source import Source, Span

Kind = Literal["call", "calls", "int", "number", "losses", "parameters", "feed", "word"]
"""The kind of value after a word: a call (``sgd(lr = 0.1)``) or several, an int, a number, names of losses, patterns of
parameter paths, ``input = field``, or a fixed word.
"""


@dataclass(frozen=True, slots=True)
class Setting:
    """An evaluated call in a train section: ``sgd`` with ``{"lr": 0.01}``. Positional arguments are
    in ``arguments``.
    """

    name: str
    arguments: tuple[Any, ...]
    keywords: Mapping[str, Any]
    span: Span
    keyword_spans: Mapping[str, Span] = field(default_factory=dict)


def setting_of(name: str) -> Setting:
    """A setting without arguments, for names that come from Python."""
    return Setting(name, (), {}, Span(Source("<data>", name), 0, len(name)))


@dataclass(frozen=True, slots=True)
class Word:
    """A word of a train section."""

    kind: Kind
    default: Any = None
    """The value for a stage whose section lacks the word; for a call, its name."""
    least: float = 0
    """The least number that may follow."""
    exclusive: bool = False
    """Whether the number must be greater than ``least``."""
    known: tuple[str, ...] = ()
    """The fixed words that may follow."""

    @property
    def repeats(self) -> bool:
        """Whether the word may be written on several lines."""
        return self.kind in ("calls", "feed")


def _word(kind: Kind, default: Any = None, **more: Any) -> Mapping[str, Word]:
    return {"word": Word(kind, default, **more)}


@dataclass(frozen=True, slots=True)
class TrainSection:
    """One stage of training as the file declares it.

    A field that is not declared is None or empty, and the stage uses its default.
    """

    name: str | None
    span: Span
    data: Setting | None = field(default=None, metadata=_word("call"))
    augment: tuple[Setting, ...] = field(default=(), metadata=_word("calls"))
    optimizer: Setting | None = field(default=None, metadata=_word("call", "adam"))
    schedule: Setting | None = field(default=None, metadata=_word("call", "constant"))
    batch: int | None = field(default=None, metadata=_word("int", 32, least=1))
    epochs: int | None = field(default=None, metadata=_word("int", 10, least=1))
    steps: int | None = field(default=None, metadata=_word("int", least=1))
    minimize: tuple[str, ...] = field(default=(), metadata=_word("losses"))
    only: tuple[str, ...] = field(default=(), metadata=_word("parameters"))
    clip: float | None = field(default=None, metadata=_word("number", least=0, exclusive=True))
    seed: int | None = field(default=None, metadata=_word("int", 0, least=0))
    precision: str | None = field(default=None, metadata=_word("word", "float32", known=("float32",)))
    feed: Mapping[str, str] = field(default_factory=dict, metadata=_word("feed"))
    """Maps an input of the net to the data field that feeds it."""
    spans: Mapping[str, Span] = field(default_factory=dict)
    """The span of each word that was written."""


WORDS: Mapping[str, Word] = {f.name: f.metadata["word"] for f in fields(TrainSection) if "word" in f.metadata}
"""All words of a train section, in the order in which messages list them."""


def matches(pattern: str, path: str) -> bool:
    """Whether a pattern of ``only`` matches a parameter's path. ``*`` matches dots, too."""
    first, *others = pattern.split("*")
    if not others:
        return path == pattern
    *middle, last = others
    end = len(path) - len(last)
    if not path.startswith(first) or not path.endswith(last):
        return False
    at = len(first)
    for part in middle:  # the first match leaves the most room for the rest
        found = path.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return at <= end
