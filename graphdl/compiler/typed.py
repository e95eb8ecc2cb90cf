"""The element type of every tensor is the one that inference gave it, and that its operation computes with.

Both checks find mistakes of the compiler and never of a model. They raise an error that ``python -O`` does not remove.
"""

from __future__ import annotations

from collections.abc import Iterable

from graphdl.graph.model import Node, Value
from graphdl.operators.tensor import Tensor


def check_lowered(value: Value, tensor: Tensor, batch: int) -> None:
    """Checks that the lowering of ``value`` has the shape and the element type that the shape rule inferred.

    Raises:
        AssertionError: it has not; the message names the value.
    """
    promised = (batch, *value.type.shape) if value.batched else value.type.shape
    if (tensor.shape, tensor.element) != (promised, value.type.element):
        raise AssertionError(
            f"{_named(value.node)} was lowered to {tensor}, and inferred as {list(promised)} {value.type.element}"
        )


def check_operands(tensors: Iterable[Tensor]) -> None:
    """Checks that each tensor and its inputs have the element types with which the operation computes.

    Raises:
        AssertionError: one has not; the message names it.
    """
    for tensor in tensors:
        if not tensor.operation.typed(tensor):
            name = "a tensor" if tensor.origin is None else _named(tensor.origin)
            raise AssertionError(f"{name}: no operation computes {tensor} from {list(tensor.inputs)}")


def _named(node: Node) -> str:
    path = ".".join(part for part in (node.module.path, node.name) if part)
    return f"'{path or node.operator}' ({node.operator}, {node.span})"
