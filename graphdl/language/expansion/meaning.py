"""The meaning of names outside of all bodies, with the order of precedence of the file, the library and the language.

Expansion reads the value, the checker reads whether there is one, and the editor reads the place of the definition.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
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

HIDDEN = frozenset(("slice", "training_epoch", "training_step"))
"""Primitives that have syntax of their own, and no name."""

FUNCTIONS = ("is_list", "len", "tensor")

CONSTANTS: Mapping[str, float] = {"pi": math.pi, "inf": math.inf, "nan": math.nan}
"""Numbers with names."""

TRAINING = "training"
"""The name of the constant that is true if the net is expanded for training."""

_ELSEWHERE = {
    "True": "write 'true'", "False": "write 'false'", "None": "write 'none'",
    "range": "the ints from a to b - 1 are 'a..b'", "self": "a layer is named without it: fc = linear(10)",
    "nn": "the layers are here under their own names: linear(10)", "torch": "the layers are here under their own names",
    "dense": "write 'linear'", "Dense": "write 'linear'", "Conv2d": "write 'conv'", "Conv2D": "write 'conv'",
    "conv2d": "write 'conv'", "MaxPool2d": "write 'maxpool'", "BatchNorm2d": "write 'batchnorm'",
}  # fmt: skip
"""The equivalents of names from other languages and frameworks."""


@dataclass(frozen=True, slots=True)
class Word:
    """A name of the language itself."""

    name: str
    kind: Literal["primitive", "initializer", "function", "constant", "training"]


Meaning = syntax.Let | Definition | Namespace | Word


def meaning(file: FileScope, name: str, *, initializer: bool = False) -> Meaning | None:
    """The meaning of a name that no body defines: a ``let``, a block or net, an imported file, a library block, or a
    word of the language.

    After ``param``, an ``initializer`` takes precedence over a library block of the same name.
    """
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
    yield from (Word(name, "constant") for name in CONSTANTS)
    yield Word(TRAINING, "training")


_WORDS = {word.name: word for word in _words()}
"""Words by name. The last one of several equal names counts."""


def word(name: str) -> Word | None:
    """The meaning of a name in every file."""
    return _WORDS.get(name)


def language_names() -> list[str]:
    """All names that are defined in every file, without the library's."""
    return [*(n for n in PRIMITIVES if n not in HIDDEN), *INITIALIZERS, *FUNCTIONS, *CONSTANTS, TRAINING]


def undefined(name: str, span: Span, known: Iterable[str]) -> Fault:
    """The error about an undefined name. ``known`` are the names for suggestions."""
    return Fault("E0201", f"'{name}' is not defined", span, help=_ELSEWHERE.get(name) or did_you_mean(name, known))
