"""Limits of expansion: a file is data, so expansion must end soon for any content.

The limits of a graph are in ``graphdl.graph.limits``.
"""

DEPTH = 100
"""The deepest nesting of blocks."""

LIST = 100_000
"""The most items of a list."""

STEPS = 300_000
"""The most steps of one expansion: iterations of loops, items of lists and applied modules. A block
counts BLOCK_STEPS.
"""

COPIES = 8
"""The number of list items for one step, if they are copied or are in nested lists."""

TEXT_COPIES = 256
"""The number of characters for one step, if they are copied or compared."""

NESTING = 100
"""The deepest nesting of lists."""

BLOCK_STEPS = 10
"""The steps of a block, without those of its content."""

NUMBER = 2**63
"""The limit of the magnitude of an int."""

PYTHON_DEPTH = 12_000
"""Python's recursion limit: enough for DEPTH blocks with the deepest expressions that the parser accepts."""
