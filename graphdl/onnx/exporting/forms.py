"""What several primitives together are in ONNX: softmax, normalizations, activations, layers with their biases.

A form is recognized from its last primitive backwards. Primitives that only a form needs are not written then.
"""

from __future__ import annotations

from graphdl.graph.model import Node
from graphdl.onnx.exporting import activations, layers, normalizations, recurrent
from graphdl.onnx.exporting.form import Form

_TABLES = (activations.FORMS, normalizations.FORMS, layers.FORMS, recurrent.FORMS)
"""Functions that look for a form, by the last primitive."""


def form_of(node: Node) -> Form | None:
    """The form of which the node is the last primitive, if there is one."""
    found = (find(node) for table in _TABLES for find in table.get(node.operator, ()))
    return next((form for form in found if form is not None), None)
