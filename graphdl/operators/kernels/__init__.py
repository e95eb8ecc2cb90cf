"""The hand-written kernels: for each a function that chooses its parameters for a device and a size."""

from graphdl.operators.kernels.convolution import (
    convolution_call,
    convolution_input_gradient_call,
    convolution_weight_gradient_call,
)
from graphdl.operators.kernels.matmul import matmul_call
from graphdl.operators.kernels.template import TemplateCall

__all__ = [
    "TemplateCall",
    "convolution_call",
    "convolution_input_gradient_call",
    "convolution_weight_gradient_call",
    "matmul_call",
]
