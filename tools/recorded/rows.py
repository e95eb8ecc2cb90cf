"""All rows, in the order of the gallery."""

from __future__ import annotations

from recorded import generative, history, science, vision

ROWS = history.ROWS | vision.ROWS | generative.ROWS | science.ROWS
