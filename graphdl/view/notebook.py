"""Pages inside a notebook: each in a frame of its own, where its scripts can touch nothing of the notebook's."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from graphdl.view.bundles import document_of
from graphdl.view.drawing import svg
from graphdl.view.page import page

if TYPE_CHECKING:
    from graphdl.model import Model

_HEIGHT = 620


def frame(html: str, height: int = _HEIGHT) -> str:
    """A whole page as an element that a notebook can show."""
    return (
        f'<iframe srcdoc="{escape(html)}" sandbox="allow-scripts allow-downloads" '
        f'style="width: 100%; height: {height}px; border: 1px solid #8884; border-radius: 8px"></iframe>'
    )


def model_html(model: Model) -> str:
    """The interactive graph of a model."""
    return frame(page(model.name, {"documents": [document_of(model)]}))


def model_svg(model: Model) -> str:
    """The graph of a model as a picture."""
    return svg(document_of(model))
