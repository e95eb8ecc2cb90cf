"""The views of a model in a notebook: its interactive page, and its drawing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphdl.frame import frame
from graphdl.view.bundles import document_of
from graphdl.view.drawing import svg
from graphdl.view.page import page

if TYPE_CHECKING:
    from graphdl.model import Model


def model_html(model: Model) -> str:
    """The interactive graph of a model as HTML."""
    return frame(page(model.name, {"documents": [document_of(model)]}))


def model_svg(model: Model) -> str:
    """The graph of a model as SVG."""
    return svg(document_of(model))
