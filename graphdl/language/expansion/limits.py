"""What a file may ask for at most. A file is data: whatever it holds, expanding it ends soon.

What a graph may hold stands in ``graphdl.graph.limits``.
"""

DEPTH = 100
"""Blocks inside blocks."""

LIST = 100_000
"""Items of a list."""

STEPS = 300_000
"""Passes of loops, items of lists and applied modules of one expansion; a block counts BLOCK_STEPS."""

COPIES = 8
"""Items of lists that are copied, or stand in lists inside lists, for one step."""

TEXT_COPIES = 256
"""Characters of texts that are copied or compared for one step."""

NESTING = 100
"""Lists inside lists."""

BLOCK_STEPS = 10
"""The work of a block, without that of what is in it."""

NUMBER = 2**63
"""The largest int."""

PYTHON_DEPTH = 12_000
"""Python frames: enough for DEPTH blocks, each with expressions as deep as the parser lets them be."""
