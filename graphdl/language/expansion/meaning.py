"""What a name means outside of all bodies: the one order in which a file, the library and the language are asked.

The expansion asks for the value, the checker whether there is one, and the editor for where it is defined.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from graphdl.language import syntax
from graphdl.language.expansion.faults import Fault
from graphdl.language.expansion.files import FileScope
from graphdl.language.expansion.values import Definition, Namespace
from graphdl.operators import PRIMITIVES
from graphdl.operators.initializers import INITIALIZERS
from graphdl.source import Span
from graphdl.suggest import did_you_mean

HIDDEN = frozenset(("slice",))
"""Primitives that have signs of their own, and no name."""

FUNCTIONS = ("is_list", "len", "tensor")

TRAINING = "training"
"""Whether the net is expanded for training."""

_ELSEWHERE = {
    "True": "write 'true'", "False": "write 'false'", "None": "write 'none'",
    "range": "the ints from a to b - 1 are 'a..b'", "self": "a layer is named without it: fc = linear(10)",
    "nn": "the layers are here under their own names: linear(10)", "torch": "the layers are here under their own names",
    "dense": "write 'linear'", "Dense": "write 'linear'", "Conv2d": "write 'conv'", "Conv2D": "write 'conv'",
    "conv2d": "write 'conv'", "MaxPool2d": "write 'maxpool'", "BatchNorm2d": "write 'batchnorm'",
}  # fmt: skip
"""What names of other languages and frameworks are here."""


@dataclass(frozen=True, slots=True)
class Word:
    """A name of the language itself."""

    name: str
    kind: Literal["primitive", "initializer", "function", "training"]


Meaning = syntax.Let | Definition | Namespace | Word


def meaning(file: FileScope, name: str, *, initializer: bool = False) -> Meaning | None:
    """What a name means that no body defines: a ``let``, a block or net, an import's file, the library's block, or a
    word of the language. After ``param`` an ``initializer`` wins over the library's block of that name."""
    if name in file.lets:
        return file.lets[name]
    if initializer and name in INITIALIZERS and not file.declares(name):
        return Word(name, "initializer")
    found: Definition | Namespace | None = file.find(name)
    return word(name) if found is None else found


def _words() -> Iterator[Word]:
    yield from (Word(name, "function") for name in FUNCTIONS)
    yield from (Word(name, "primitive") for name in PRIMITIVES if name not in HIDDEN)
    yield from (Word(name, "initializer") for name in INITIALIZERS)
    yield Word(TRAINING, "training")


_WORDS = {word.name: word for word in _words()}
"""By their names; of equal ones the last counts."""


def word(name: str) -> Word | None:
    """What a name means in every file."""
    return _WORDS.get(name)


def language_names() -> list[str]:
    """Every name that holds in all files, the library's apart."""
    return [*(n for n in PRIMITIVES if n not in HIDDEN), *INITIALIZERS, *FUNCTIONS, TRAINING]


def undefined(name: str, span: Span, known: Iterable[str]) -> Fault:
    """The complaint about a name that means nothing; ``known`` are those that it could have been."""
    return Fault("E0201", f"'{name}' is not defined", span, help=_ELSEWHERE.get(name) or did_you_mean(name, known))
