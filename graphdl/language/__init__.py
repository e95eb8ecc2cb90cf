"""The language: from text to the module graph. Modules are imported on demand."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from graphdl.source import Source

if TYPE_CHECKING:
    from graphdl.diagnostics import Diagnostic
    from graphdl.graph.model import ModuleGraph


def load_source(path: str | os.PathLike[str]) -> Source:
    """The text of a file. Raises ModelError if it cannot be read."""
    from graphdl.language.expansion.files import read_source

    return read_source(path)


def check(
    source: Source,
    *,
    settings: Mapping[str, object] | None = None,
    net: str | None = None,
    allow_outside: bool = False,
) -> list[Diagnostic]:
    """Every error and warning of a file, in order; never raises for what the file holds.

    Args:
        source: the file's text.
        settings: values for hyperparameters of the net and ``let``s of the file; texts stand for what they spell.
        net: the one net to check; all are, if left out.
        allow_outside: imports may leave the project's folder.
    """
    from graphdl.language.expansion.expander import check

    return check(source, settings=settings, net=net, allow_outside=allow_outside)


def expand(
    source: Source,
    *,
    net: str | None = None,
    settings: Mapping[str, object] | None = None,
    training: bool = False,
    root: str | None = None,
    allow_outside: bool = False,
) -> ModuleGraph:
    """The module graph of a file's model: its last net, or the one named ``net``.

    Args as for ``check``; ``training`` is the constant of that name in the file, and ``root`` the folder that imports
    may not leave, the project's by default. Raises ModelError with every error.
    """
    from graphdl.language.expansion.expander import expand

    return expand(source, net=net, settings=settings, training=training, root=root, allow_outside=allow_outside)


__all__ = ["Source", "check", "expand", "load_source"]
