"""What names mean, by the text alone: symbols, and every place where one is written."""

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
    """One thing that has a name. ``span`` is its name where it is defined; None for the language's own words."""

    name: str
    kind: str
    span: Span | None
    written: Any = None
    """The syntax that defines it, or the primitive."""
    extent: Span | None = None
    """The part of the text in which it holds, for a name inside a body."""
    definition: Any = None
    """The block or net (an expansion's Definition) that the name stands for, where that is certain."""
    owner: str | None = None
    """The block or net that it is a part of."""

    @property
    def key(self) -> tuple[str, int]:
        """The same for one symbol seen from several files."""
        if self.span is None:
            return self.kind, hash(self.name)
        return self.span.source.path or self.span.source.name, self.span.start


@dataclass(frozen=True, slots=True)
class Occurrence:
    """A name in the text. ``writes`` where it is given a value or declared; ``is_argument`` where it names an argument
    of a call."""

    span: Span
    symbol: Symbol
    writes: bool = False
    is_argument: bool = False


@dataclass
class Bindings:
    """Every occurrence of a file, in order of place, and the names that hold within its bodies."""

    occurrences: list[Occurrence] = field(default_factory=list)
    locals: list[Symbol] = field(default_factory=list)
    complaints: list[Diagnostic] = field(default_factory=list)
    """About names that are undefined, declared twice, or used before they are defined."""

    def at(self, offset: int) -> Occurrence | None:
        """The name under a place, or the one that ends there."""
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
        """The names that bodies define and that hold at a place, the innermost one of each name."""
        found: dict[str, Symbol] = {}
        for symbol in self.locals:
            assert symbol.extent is not None  # it is what makes a name local
            assert symbol.span is not None
            if symbol.extent.start <= offset <= symbol.extent.end and symbol.span.end < offset:
                known = found.get(symbol.name)
                if known is None or _size(symbol) <= _size(known):
                    found[symbol.name] = symbol
        return found


def _size(symbol: Symbol) -> int:
    return symbol.extent.end - symbol.extent.start if symbol.extent is not None else 0
