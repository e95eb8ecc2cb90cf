"""ONNX in: a graph becomes a net in the language, with its weights.

The package ``onnx`` is imported when it is needed.
"""

from graphdl.onnx.reading import ImportedGraph, Port, UnsupportedError, read, read_file

__all__ = ["ImportedGraph", "Port", "UnsupportedError", "read", "read_file"]
