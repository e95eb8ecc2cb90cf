"""What an editor sees of an expansion while it happens."""

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
    """A watcher has seen enough: what has been found so far is the answer."""


class Watcher:
    """Is told what ``check`` does. Every method may raise Abandoned; here none does anything."""

    modes: tuple[bool, ...] = (False, True)
    """Expand for inference, for training, or for both."""

    def read(self, path: str) -> Source:
        """The text of an imported file. Raises ModelError when it cannot be read."""
        return read_source(path)

    def loaded(self, files: Files, file: FileScope) -> None:
        """All files are parsed; ``file`` is the one that is checked."""

    def evaluated(self, expression: syntax.Expression, value: Any) -> None:
        """An expression had this value, once of perhaps many times."""

    def expanded(self, definition: Definition, graph: ModuleGraph) -> None:
        """A net was expanded, perhaps with faults."""
