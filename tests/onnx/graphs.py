"""Small ONNX models for the tests."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator


def model(
    nodes: list[Any],
    inputs: dict[str, list[Any]],
    outputs: dict[str, list[Any]],
    weights: dict[str, np.ndarray] | None = None,
    *,
    opset: int = 21,
    ints: tuple[str, ...] = (),
) -> ModelProto:
    """A model of float inputs and outputs, and of int64 ones with the names ``ints``."""

    def port(name: str, shape: list[Any]) -> Any:
        return helper.make_tensor_value_info(name, TensorProto.INT64 if name in ints else TensorProto.FLOAT, shape)

    graph = helper.make_graph(
        nodes,
        "test",
        [port(*item) for item in inputs.items()],
        [port(*item) for item in outputs.items()],
        [numpy_helper.from_array(array, name) for name, array in (weights or {}).items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])


def expected(proto: ModelProto, **inputs: np.ndarray) -> list[np.ndarray]:
    """The outputs that ONNX's own evaluator computes."""
    return list(ReferenceEvaluator(proto).run(None, inputs))


def small_net(batch: Any) -> ModelProto:
    """A convolutional classifier of images [3, 12, 12], with the names of PyTorch's exporter."""
    g = np.random.default_rng(3)

    def draw(*shape: int) -> np.ndarray:
        return g.normal(size=shape).astype(np.float32) / 3

    weights = {
        "features.0.weight": draw(8, 3, 3, 3), "features.0.bias": draw(8),
        "features.1.weight": 1 + draw(8), "features.1.bias": draw(8),
        "features.1.running_mean": draw(8), "features.1.running_var": 1 + abs(draw(8)),
        "classifier.weight": draw(5, 32), "classifier.bias": draw(5),
    }  # fmt: skip
    node = helper.make_node
    nodes = [
        node("Conv", ["image", "features.0.weight", "features.0.bias"], ["/features/0/Conv_output_0"],
             strides=[2, 2], pads=[1, 1, 1, 1], kernel_shape=[3, 3]),
        node("BatchNormalization", ["/features/0/Conv_output_0", *list(weights)[2:6]],
             ["/features/1/BatchNormalization_output_0"]),
        node("Relu", ["/features/1/BatchNormalization_output_0"], ["/features/2/Relu_output_0"]),
        node("MaxPool", ["/features/2/Relu_output_0"], ["/features/3/MaxPool_output_0"],
             kernel_shape=[3, 3], strides=[3, 3]),
        node("Flatten", ["/features/3/MaxPool_output_0"], ["/Flatten_output_0"]),
        node("Gemm", ["/Flatten_output_0", "classifier.weight", "classifier.bias"], ["logits"], transB=1),
    ]  # fmt: skip
    return model(nodes, {"image": [batch, 3, 12, 12]}, {"logits": [batch, 5]}, weights)
