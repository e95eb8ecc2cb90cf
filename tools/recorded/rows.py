"""All rows, in the order of the gallery."""

from __future__ import annotations

from recorded import decision, generative, history, science, sequence, vision

ROWS = history.ROWS | vision.ROWS | generative.ROWS | science.ROWS | sequence.ROWS | decision.ROWS
