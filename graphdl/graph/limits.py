"""What a graph may hold at most, whoever builds it."""

NODES = 100_000
"""Nodes of one graph, with the steps of its scans."""

RANK = 32
"""Dimensions of a tensor: with the batch what NumPy holds, and far beyond any network."""

ELEMENTS = 2**40
"""Elements of one tensor."""

NUMBERS = 300_000
"""Numbers of one tensor that is written out."""

LEAST, GREATEST = -(2**31), 2**31 - 1
"""The ints that a tensor holds."""
