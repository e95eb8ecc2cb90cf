"""The limits of a graph."""

NODES = 100_000
"""The most nodes of a graph, with the steps of its scans."""

RANK = 32
"""The most dimensions of a tensor: NumPy's limit leaves room for the batch."""

ELEMENTS = 2**40
"""The most elements of a tensor."""

NUMBERS = 300_000
"""The most numbers of a tensor that is written out."""

LEAST, GREATEST = -(2**31), 2**31 - 1
"""The range of the ints in a tensor."""
