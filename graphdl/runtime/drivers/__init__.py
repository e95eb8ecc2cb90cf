"""The OpenCL drivers of this machine: found, loaded, and helped where they fail. Nothing of it knows of programs.

``loader`` finds and loads them; ``pocl`` and ``intel`` know what those two need.
"""
