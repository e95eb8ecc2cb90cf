"""A page inside a notebook: a separate frame isolates its scripts from the notebook."""

from __future__ import annotations

from html import escape

_HEIGHT = 620


def frame(html: str, height: int = _HEIGHT) -> str:
    """A whole page as an element that a notebook can show."""
    return (
        f'<iframe srcdoc="{escape(html)}" sandbox="allow-scripts allow-downloads" '
        f'style="width: 100%; height: {height}px; border: 1px solid #8884; border-radius: 8px"></iframe>'
    )
