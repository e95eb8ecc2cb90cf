"""A page inside a notebook: in a frame of its own, where its scripts can touch nothing of the notebook's."""

from __future__ import annotations

from html import escape

_HEIGHT = 620


def frame(html: str, height: int = _HEIGHT) -> str:
    """A whole page as an element that a notebook can show."""
    return (
        f'<iframe srcdoc="{escape(html)}" sandbox="allow-scripts allow-downloads" '
        f'style="width: 100%; height: {height}px; border: 1px solid #8884; border-radius: 8px"></iframe>'
    )
