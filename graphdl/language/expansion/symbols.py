"""Symbols, the meaning of names by the text alone, and all occurrences of names."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from graphdl.diagnostics import Diagnostic
from graphdl.source import Span

BLOCK, NET, LET, HYPER, INPUT, OUTPUT = "block", "net", "let", "hyperparameter", "input", "output"
PARAM, STATE, VALUE, MODULE = "parameter", "state", "value", "module"
LOOP, ITEM, DIMENSION, IMPORT, STAGE = "loop variable", "step value", "dimension", "import", "stage"
PRIMITIVE, INITIALIZER, FUNCTION = "primitive", "initializer", "function"


@dataclass(eq=False, slots=True)
class Symbol:
    """A named thing. ``span`` is its name at its definition; None for the language's own words."""

    name: str
    kind: str
    span: Span | None
    written: Any = None
    """The syntax that defines it, or the primitive."""
    extent: Span | None = None
    """The part of the text in which it is defined, for a name inside a body."""
    definition: Any = None
    """The block or net (an expansion's Definition) that the name refers to, if that is certain."""
    owner: str | None = None
    """The block or net that contains it."""

    @property
    def key(self) -> tuple[str, int]:
        """A key that is the same for a symbol in all files."""
        if self.span is None:
            return self.kind, hash(self.name)
        return self.span.source.path or self.span.source.name, self.span.start


@dataclass(frozen=True, slots=True)
class Occurrence:
    """A name in the text.

    ``writes``: a value is assigned to it, or it is declared. ``is_argument``: it names an argument of a call.
    """

    span: Span
    symbol: Symbol
    writes: bool = False
    is_argument: bool = False


@dataclass
class Bindings:
    """All occurrences of a file in order of place, and the names defined within its bodies."""

    occurrences: list[Occurrence] = field(default_factory=list)
    locals: list[Symbol] = field(default_factory=list)
    complaints: list[Diagnostic] = field(default_factory=list)
    """Errors about names that are undefined, declared twice, or used before their definition."""

    def at(self, offset: int) -> Occurrence | None:
        """The name at an offset, or the one that ends there."""
        before = None
        for occurrence in self.occurrences:
            if occurrence.span.start <= offset < occurrence.span.end:
                return occurrence
            if occurrence.span.end == offset:
                before = occurrence
        return before

    def of(self, key: tuple[str, int]) -> Iterable[Occurrence]:
        return (occurrence for occurrence in self.occurrences if occurrence.symbol.key == key)

    def visible(self, offset: int) -> dict[str, Symbol]:
        """The names that bodies define and that are visible at an offset, the innermost symbol for each name."""
        found: dict[str, Symbol] = {}
        for symbol in self.locals:
            assert symbol.extent is not None  # every local name has one
            assert symbol.span is not None
            if symbol.extent.start <= offset <= symbol.extent.end and symbol.span.end < offset:
                known = found.get(symbol.name)
                if known is None or _size(symbol) <= _size(known):
                    found[symbol.name] = symbol
        return found


def _size(symbol: Symbol) -> int:
    return symbol.extent.end - symbol.extent.start if symbol.extent is not None else 0
