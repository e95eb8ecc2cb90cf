"""The OpenCL drivers of this machine: how they are found and loaded, and workarounds for their faults.

``loader`` finds and loads them; ``pocl`` and ``intel`` are specific to those two. Nothing here depends on programs.
"""
