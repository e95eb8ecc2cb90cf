"""ONNX in: a graph becomes a net in the language, with its weights.

The package ``onnx`` is imported when it is needed.
"""

from graphdl.onnx.reading import Imported, Port, UnsupportedError, read, read_file

__all__ = ["Imported", "Port", "UnsupportedError", "read", "read_file"]
