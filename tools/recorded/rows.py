"""All rows, in the order of the gallery."""

from __future__ import annotations

from recorded import decision, generative, history, photographs, science, sequence, vision

ROWS = history.ROWS | vision.ROWS | photographs.ROWS | generative.ROWS | science.ROWS | sequence.ROWS | decision.ROWS
