"""The state of expansion: the defined names, the current block, and the names of its modules."""

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
    """The result of a look-up that finds nothing; None is a value of the language."""


MISSING = Missing()


@dataclass(slots=True, eq=False)
class Frame:
    """One expansion of one body."""

    file: FileScope
    definition: Definition | None
    naming: Naming
    caller: Frame | None
    span: Span
    """The place where the block was applied."""
    argument_spans: Mapping[str, Span] = field(default_factory=dict)
    """The spans of the hyperparameters in the application."""
    depth: int = 0
    in_scan: int = 0
    given: dict[str, Any] = field(default_factory=dict)
    """The tensors for the input ports."""
    results: dict[str, Any] = field(default_factory=dict)
    """The outputs declared so far by a net that is used as a block."""


class Scope:
    """Names and their values. Scans and comprehensions have inner scopes."""

    __slots__ = ("emitted", "frame", "home", "names", "outer")

    def __init__(self, frame: Frame, outer: Scope | None = None, *, passing: bool = False) -> None:
        self.frame = frame
        self.outer = outer
        self.names: dict[str, Any] = {}
        self.emitted: list[Any] | None = None
        """The values emitted so far, in the body of a scan."""
        self.home: Scope = outer.home if passing and outer is not None else self
        """The scope to which statements assign. The scope of a comprehension is not one."""

    def find(self, name: str) -> Any:
        scope: Scope | None = self
        while scope is not None:
            if name in scope.names:
                return scope.names[name]
            scope = scope.outer
        return MISSING

    def known(self) -> list[str]:
        """All names that are defined here."""
        names: list[str] = []
        scope: Scope | None = self
        while scope is not None:
            names.extend(scope.names)
            scope = scope.outer
        return names


def user_span(span: Span, frame: Frame | None) -> tuple[Span, Frame | None]:
    """The place in the user's text that caused a place in the standard library, and its frame."""
    while frame is not None and frame.file.is_library and frame.caller is not None:
        span, frame = frame.span if span.in_library else span, frame.caller
    return span, frame
