"""Nodes whose inputs are known: their results are computed during the import, with ONNX's own evaluator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphdl.onnx.package import onnx
from graphdl.onnx.values import Const, UnsupportedNodeError

RANDOM = frozenset(
    ["Bernoulli", "Dropout", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"]
)
"""Operators whose results are drawn anew in each run."""


def fold(node: Any, inputs: Sequence[Const | None], opsets: Sequence[Any]) -> list[Const]:
    """The results of a node. If an input depends on the size of the batch, so may they: then the node is computed for
    two sizes.

    Raises:
        UnsupportedNodeError: the evaluator cannot compute it.
    """
    results = _evaluated(node, [None if c is None else c.array for c in inputs], opsets)
    if all(c is None or c.other is None for c in inputs):
        return [Const(array) for array in results]
    others = _evaluated(node, [None if c is None else c.array if c.other is None else c.other for c in inputs], opsets)
    return [Const(a, None if _same(a, b) else b) for a, b in zip(results, others, strict=True)]


def _same(a: np.ndarray, b: np.ndarray) -> bool:
    return a.shape == b.shape and bool(((a == b) | ((a != a) & (b != b))).all())


def _evaluated(node: Any, inputs: Sequence[np.ndarray | None], opsets: Sequence[Any]) -> list[np.ndarray]:
    helper, evaluator = onnx("helper"), onnx("reference").ReferenceEvaluator
    feeds = {name: array for name, array in zip(node.input, inputs, strict=True) if name and array is not None}
    unknown = onnx().TensorProto.UNDEFINED
    names = [name for name in node.output if name]
    graph = helper.make_graph(
        [node],
        "fold",
        [
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(a.dtype), None)
            for name, a in feeds.items()
        ],
        [helper.make_tensor_value_info(name, unknown, None) for name in names],
    )
    try:
        found = evaluator(helper.make_model(graph, opset_imports=list(opsets))).run(names, feeds)
    except Exception as error:  # whatever the evaluator's own code raises
        raise UnsupportedNodeError(f"it cannot be computed during the import: {error}") from error
    if not all(isinstance(array, np.ndarray | np.generic) for array in found):
        raise UnsupportedNodeError("its result is no tensor")
    return [plain(np.asarray(array)) for array in found]


def plain(array: np.ndarray) -> np.ndarray:
    """The array with floats that NumPy has: those of bfloat16 become single precision."""
    return array.astype(np.float32) if array.dtype.name == "bfloat16" else array
