"""The language: from text to the module graph. Modules are imported on demand."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from graphdl.source import Source

if TYPE_CHECKING:
    from graphdl.diagnostics import Diagnostic
    from graphdl.graph.model import ModuleGraph
    from graphdl.language.expansion.expander import Loaded


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
    """All errors and warnings of a file, in order. Never raises an exception because of the file's content.

    Args:
        source: the file's text.
        settings: values for hyperparameters of the net and ``let``s of the file; strings are parsed as values.
        net: the net to check, by default all nets.
        allow_outside: imports may leave the project's folder.
    """
    from graphdl.language.expansion.expander import check

    return check(source, settings=settings, net=net, allow_outside=allow_outside)


def read(source: Source, *, root: str | None = None, allow_outside: bool = False) -> Loaded:
    """A file and all files that it imports, read once. It can be expanded several times.

    Args:
        source: the file's text.
        root: the folder that imports must not leave, by default the project's.
        allow_outside: imports may leave it.
    """
    from graphdl.language.expansion.expander import Loaded

    return Loaded(source, root=root, allow_outside=allow_outside)


def expand(
    source: Source,
    *,
    net: str | None = None,
    settings: Mapping[str, object] | None = None,
    training: bool = False,
    root: str | None = None,
    allow_outside: bool = False,
) -> ModuleGraph:
    """The module graph of a file's model: the net that it trains by name, else its last one, or
    the one named ``net``.

    Args as for ``check``. ``training`` is the value of the constant with that name in the file. ``root`` is the folder
    that imports must not leave, by default the project's. Raises ModelError with all errors.
    """
    loaded = read(source, root=root, allow_outside=allow_outside)
    return loaded.expand(net=net, settings=settings, training=training)


__all__ = ["Source", "check", "expand", "load_source", "read"]
