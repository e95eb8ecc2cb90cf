"""Train sections: the table of their words, and the content of one in a file.

Each field of ``TrainSection`` with a ``Word`` is a word of the language. The parser's messages, the expansion, the
language server, the training stage and the settings that a run writes all read ``WORDS``. A new word is a field here
and the code that uses it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

from graphdl.source import Source, Span

Kind = Literal[
    "call", "calls", "int", "number", "losses", "parameters", "factors", "limits", "starts", "best", "feed", "word"
]
"""The kind of value after a word: a call (``sgd(lr = 0.1)``) or several, an int, a number, names of losses, patterns of
parameter paths, patterns with a number (``encoder.* = 0.1``; of ``limits``, for parameters that have incoming weights),
``path = path``, ``min(metric)``, ``input = field``, or a fixed word.
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
    overrides: Mapping[str, Any] = field(default_factory=dict)
    """Arguments from outside of the file (``--set optimizer.lr=0.1``), which take the place of those in it."""
    names: Mapping[str, str] = field(default_factory=dict)
    """For keyword arguments that are nothing but a name, such as that of a ``let``, the name."""


def setting_of(name: str) -> Setting:
    """A setting without arguments, for names that come from Python."""
    return Setting(name, (), {}, Span(Source("<data>", name), 0, len(name)))


Factors = tuple[tuple[str, float], ...]
"""Patterns of parameter paths, each with a number. The last pattern that matches a path counts."""


@dataclass(frozen=True, slots=True)
class Start:
    """``start target = source``: at the start of a stage, a variable takes the value of another one.

    Both are paths of variables of fitting shapes.
    """

    target: str
    source: str
    transposed: bool = False

    def __str__(self) -> str:
        return f"{self.target} = transpose({self.source})" if self.transposed else f"{self.target} = {self.source}"


@dataclass(frozen=True, slots=True)
class Best:
    """``best max(accuracy)``: the loss or metric that chooses the best weights, and whether its greatest value does."""

    name: str
    greatest: bool

    def __str__(self) -> str:
        return f"{'max' if self.greatest else 'min'}({self.name})"


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
    below: float | None = None
    """The bound that the number must not reach."""
    known: tuple[str, ...] = ()
    """The fixed words that may follow."""
    in_turn: bool = False
    """Whether a turn may have a value of its own."""

    @property
    def repeats(self) -> bool:
        """Whether the word may be written on several lines."""
        return self.kind in ("calls", "feed", "factors", "limits", "starts")

    @property
    def takes_patterns(self) -> bool:
        """Whether patterns or paths of parameters follow the word."""
        return self.kind in ("parameters", "factors", "limits", "starts")


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
    optimizer: Setting | None = field(default=None, metadata=_word("call", "adam", in_turn=True))
    schedule: Setting | None = field(default=None, metadata=_word("call", "constant", in_turn=True))
    batch: int | None = field(default=None, metadata=_word("int", 32, least=1))
    epochs: int | None = field(default=None, metadata=_word("int", 10, least=1))
    steps: int | None = field(default=None, metadata=_word("int", least=1, in_turn=True))
    minimize: tuple[str, ...] = field(default=(), metadata=_word("losses", in_turn=True))
    only: tuple[str, ...] = field(default=(), metadata=_word("parameters", in_turn=True))
    start: tuple[Start, ...] = field(default=(), metadata=_word("starts"))
    rate: Factors = field(default=(), metadata=_word("factors", in_turn=True))
    """Factors of the learning rate."""
    clip: float | None = field(default=None, metadata=_word("number", least=0, exclusive=True, in_turn=True))
    max_norm: Factors = field(default=(), metadata=_word("limits", least=0, exclusive=True, in_turn=True))
    """The greatest norms of the incoming weights of a unit."""
    average: float | None = field(default=None, metadata=_word("number", least=0, below=1, in_turn=True))
    """The decay of the moving average of the weights."""
    best: Best | None = field(default=None, metadata=_word("best"))
    seed: int | None = field(default=None, metadata=_word("int", 0, least=0))
    precision: str | None = field(
        default=None, metadata=_word("word", "float32", known=("float32", "half", "bfloat16"))
    )
    feed: Mapping[str, str] = field(default_factory=dict, metadata=_word("feed"))
    """Maps an input of the net to the data field that feeds it."""
    spans: Mapping[str, Span] = field(default_factory=dict)
    """The span of each word that was written."""
    turns: tuple[TrainSection, ...] = ()
    """The parts that alternate, each with the words of its own. Its ``steps`` are those that it makes in a row."""

    def parts(self) -> tuple[TrainSection, ...]:
        """The turns, each with the section's words where it has none of its own; without turns the section alone."""
        words = [word for word, known in WORDS.items() if known.in_turn and word != "steps"]
        return tuple(
            replace(turn, **{word: getattr(self, word) for word in words if getattr(turn, word) in (None, ())})
            for turn in self.turns
        ) or (self,)


WORDS: Mapping[str, Word] = {f.name: f.metadata["word"] for f in fields(TrainSection) if "word" in f.metadata}
"""All words of a train section, in the order in which messages list them."""


def default_name(number: int) -> str:
    """The name of a stage without one, by its position from 0: ``train``, ``train_2``, …"""
    return "train" if number == 0 else f"train_{number + 1}"


def number_of(factors: Factors, path: str, default: float | None = None) -> float | None:
    """The number of the last pattern that matches a path; ``default`` if there is none."""
    return next((number for pattern, number in reversed(factors) if matches(pattern, path)), default)


def matches(pattern: str, path: str) -> bool:
    """Whether a pattern matches a parameter's path. ``*`` matches dots, too."""
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
