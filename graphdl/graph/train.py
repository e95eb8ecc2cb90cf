"""Train sections: the table of what may stand in one, and what a file says there.

Each field of ``TrainSection`` that has a ``Word`` is a word of the language. The parser's messages, the expansion, the
language server, the stage of training and the settings that a run writes all read ``WORDS``: a new word is a field
here, and what uses it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from graphdl.source import Source, Span

Kind = Literal["call", "calls", "int", "number", "losses", "parameters", "feed", "word"]
"""What follows a word: a call (``sgd(lr = 0.1)``) or several, an int, a number, names of losses, patterns of
parameters' paths, ``input = field``, or a word of its own."""


@dataclass(frozen=True, slots=True)
class Setting:
    """A call in a train section, evaluated: ``sgd`` with ``{"lr": 0.01}``; positional arguments in ``arguments``."""

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
    """What a stage has where its section does not say; of a call its name."""
    least: float = 0
    """The least number that may follow."""
    exclusive: bool = False
    """Whether a number lies above ``least``."""
    known: tuple[str, ...] = ()
    """The words that may follow."""

    @property
    def repeats(self) -> bool:
        """Whether it may be written on several lines."""
        return self.kind in ("calls", "feed")


def _word(kind: Kind, default: Any = None, **more: Any) -> Mapping[str, Word]:
    return {"word": Word(kind, default, **more)}


@dataclass(frozen=True, slots=True)
class TrainSection:
    """One stage of training as the file gives it; what is left out is None or empty: the stage has its default."""

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
    """From a net's input to the data field that feeds it."""
    spans: Mapping[str, Span] = field(default_factory=dict)
    """Of each word that was written."""


WORDS: Mapping[str, Word] = {f.name: f.metadata["word"] for f in fields(TrainSection) if "word" in f.metadata}
"""All words of a train section, in the order in which messages name them."""


def matches(pattern: str, path: str) -> bool:
    """Whether a parameter's path is among those that ``only`` names; ``*`` crosses dots."""
    first, *others = pattern.split("*")
    if not others:
        return path == pattern
    *middle, last = others
    end = len(path) - len(last)
    if not path.startswith(first) or not path.endswith(last):
        return False
    at = len(first)
    for part in middle:  # the first place that fits leaves most room for the rest
        found = path.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return at <= end
