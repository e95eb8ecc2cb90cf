"""ONNX out: a net with its weights becomes an ONNX model.

``exporter.py`` goes through the module graph and writes the nodes. ``operators/`` has the translation of each
primitive. ``forms.py`` recognizes what several primitives together are in ONNX, such as softmax;
its tables are in ``activations.py``, ``normalizations.py``, ``layers.py`` and ``recurrent.py``.
"""

from graphdl.onnx.exporting.exporter import OPSET, export

__all__ = ["OPSET", "export"]
