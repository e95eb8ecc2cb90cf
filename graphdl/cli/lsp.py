"""``graphdl lsp``: the language server that editors start."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import click

from graphdl.diagnostics import DeviceError, Diagnostic, ModelError

if TYPE_CHECKING:
    from graphdl.graph.model import ModuleGraph


@click.command("lsp")
@click.option("--stdio", is_flag=True, hidden=True, help="Accepted because editors pass it; there is no other way.")
def command(stdio: bool) -> None:
    """Serves an editor over standard input and output (Language Server Protocol)."""
    try:
        from graphdl.language_server.features import serve
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("pygls", "lsprotocol", "cattrs", "attrs"):
            raise
        raise DeviceError("the language server needs pygls: pip install 'graphdl[editor]'") from None
    serve(_settings, _complaints)


def _settings() -> Mapping[str, Mapping[str, Callable[..., Any]]]:
    """The calls that may follow the words of a train section."""
    from graphdl.data.augmentations import AUGMENTATIONS
    from graphdl.data.declared import COMPLETE
    from graphdl.training.optimizers import OPTIMIZERS
    from graphdl.training.schedules import SCHEDULES

    return {"data": COMPLETE, "augment": AUGMENTATIONS, "optimizer": OPTIMIZERS, "schedule": SCHEDULES}


def _complaints(graph: ModuleGraph) -> list[Diagnostic]:
    """The errors in the settings of a net's train sections."""
    from graphdl.training.stages import stages

    try:
        stages(graph)
    except ModelError as error:
        return list(error.diagnostics)
    return []
