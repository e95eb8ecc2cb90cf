"""The data of a page: documents, and what accompanies them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphdl.graph.model import ModuleGraph
from graphdl.view.document import document

if TYPE_CHECKING:
    from graphdl.model import Model


def document_of(model: Model, *, training: bool = False) -> dict[str, Any]:
    """The document of a model in inference, or in training."""
    return document(model.network.graph(training))


def comparison(first: ModuleGraph, second: ModuleGraph) -> dict[str, Any]:
    """The bundle of a page with two models side by side."""
    from graphdl.view.difference import difference

    documents = [document(first), document(second)]
    return {"documents": documents, "difference": difference(*documents)}


def of_run(folder: Path, model: Model) -> dict[str, Any]:
    """The curves of a run, and the filters that it learnt."""
    from graphdl.training.run import open_run
    from graphdl.view.pictures import filters

    return {"run": {"name": folder.name, "records": open_run(folder).records}, "pictures": filters(model)}
