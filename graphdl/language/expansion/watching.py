"""The events of an expansion that an editor observes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphdl.language.expansion.files import read_source

if TYPE_CHECKING:
    from graphdl.graph.model import ModuleGraph
    from graphdl.language import syntax
    from graphdl.language.expansion.files import Files, FileScope
    from graphdl.language.expansion.values import Definition
    from graphdl.source import Source


class Abandoned(Exception):  # noqa: N818 - a signal
    """Raised by a watcher to end the check: the diagnostics found so far are the result."""


class Watcher:
    """Receives the events of ``check``. Every method may raise Abandoned. These do nothing."""

    modes: tuple[bool, ...] = (False, True)
    """The values of ``training`` for which nets are expanded."""

    def read(self, path: str) -> Source:
        """The text of an imported file. Raises ModelError if it cannot be read."""
        return read_source(path)

    def loaded(self, files: Files, file: FileScope) -> None:
        """Called when all files are parsed. ``file`` is the one that is checked."""

    def evaluated(self, expression: syntax.Expression, value: Any) -> None:
        """Called with a value of an expression, possibly many times for one expression."""

    def expanded(self, definition: Definition, graph: ModuleGraph) -> None:
        """Called when a net was expanded, possibly with faults."""
