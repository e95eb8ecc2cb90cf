"""Layers with a bias."""

from __future__ import annotations

from graphdl.graph.model import Node
from graphdl.onnx.exporting.form import Form, column, vector
from graphdl.onnx.exporting.operators.images import convolve, convolve_transpose
from graphdl.onnx.exporting.step import Step


def _with_bias(node: Node) -> Form | None:
    """A convolution or a product of rows with a matrix, and a bias."""
    layer, bias = node.inputs
    inputs = layer.node.inputs
    match layer.node.operator:
        case "convolve" | "convolve_transpose" as operator:
            b = vector(bias, column(layer))
            if b is None or not inputs[0].batched:
                return None
            write = convolve if operator == "convolve" else convolve_transpose
            label = "Conv" if operator == "convolve" else "ConvTranspose"
            return Form(label, (*inputs, b), lambda step: write(step, *_first_and_last(step)), layer.node)
        case "matmul":
            x, w = inputs
            rows = x.batched and x.type.rank == 1 and layer.type.element == "float"
            if not rows or w.batched or w.type.rank != 2 or bias.batched or bias.type.shape != w.type.shape[1:]:
                return None
            return Form("Gemm", (x, w, bias), lambda step: step.op("Gemm", *step.names("float")), node)
    return None


def _first_and_last(step: Step) -> tuple[str, str]:
    return step.name(step.inputs[0]), step.name(step.inputs[2])


FORMS = {
    "add": (_with_bias,),
}
