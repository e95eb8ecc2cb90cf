"""Where expansion stands: the names that hold, the block it is in, and how the next module will be called."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from graphdl.graph.builder import Naming
from graphdl.source import Span

if TYPE_CHECKING:
    from graphdl.language.expansion.files import FileScope
    from graphdl.language.expansion.values import Definition


class Missing:
    """The answer of a look-up that finds nothing; none is a value of the language."""


MISSING = Missing()


@dataclass(slots=True, eq=False)
class Frame:
    """One expansion of one body."""

    file: FileScope
    definition: Definition | None
    naming: Naming
    caller: Frame | None
    span: Span
    """Where the block was applied."""
    argument_spans: Mapping[str, Span] = field(default_factory=dict)
    """Of the hyperparameters that the application wrote."""
    depth: int = 0
    in_scan: int = 0
    given: dict[str, Any] = field(default_factory=dict)
    """The tensors that fill the input ports."""
    results: dict[str, Any] = field(default_factory=dict)
    """The outputs that a net used as a block has declared so far."""


class Scope:
    """Names and their values; a scan or a comprehension opens one inside another."""

    __slots__ = ("emitted", "frame", "home", "names", "outer")

    def __init__(self, frame: Frame, outer: Scope | None = None, *, passing: bool = False) -> None:
        self.frame = frame
        self.outer = outer
        self.names: dict[str, Any] = {}
        self.emitted: list[Any] | None = None
        """Of the body of a scan: what it has emitted so far."""
        self.home: Scope = outer.home if passing and outer is not None else self
        """Where a statement of this scope assigns: a comprehension's scope is only passing."""

    def find(self, name: str) -> Any:
        scope: Scope | None = self
        while scope is not None:
            if name in scope.names:
                return scope.names[name]
            scope = scope.outer
        return MISSING

    def known(self) -> list[str]:
        """Every name that holds here."""
        names: list[str] = []
        scope: Scope | None = self
        while scope is not None:
            names.extend(scope.names)
            scope = scope.outer
        return names


def user_span(span: Span, frame: Frame | None) -> tuple[Span, Frame | None]:
    """The place in the user's own text that a place in the standard library serves, and its frame."""
    while frame is not None and frame.file.is_library and frame.caller is not None:
        span, frame = frame.span if span.in_library else span, frame.caller
    return span, frame
