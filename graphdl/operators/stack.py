"""Tensors beside each other along a new dimension."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from graphdl.graph.types import TensorType
from graphdl.operators.primitive import Hyper, Lowering, OperatorError, Primitive
from graphdl.operators.structure import broadcast_to, concat, reshape
from graphdl.operators.tensor import Tensor


def new_axis(types: Sequence[TensorType], attributes: Mapping[str, Any]) -> int:
    """The hyperparameter ``axis`` as a non-negative dimension of the result.

    Raises:
        OperatorError: the dimension is out of range.
    """
    rank, axis = types[0].rank + 1, attributes["axis"]
    if not -rank <= axis < rank:
        message = f"axis {axis} is out of range: a stack of {types[0]} has {rank} dimension{'s' if rank != 1 else ''}"
        raise OperatorError("E0402", message, inputs=(0,), hyper="axis")
    return int(axis % rank)


def _infer(types: Sequence[TensorType], attributes: Mapping[str, Any]) -> Sequence[TensorType]:
    first, axis = types[0], new_axis(types, attributes)
    for port, other in enumerate(types):
        if other.shape != first.shape:
            raise OperatorError("E0403", f"stack wants equal shapes, and found {first} and {other}", inputs=(0, port))
        if other.element != first.element:
            message = f"stack takes tensors of one kind, not {first} and {other}"
            raise OperatorError("E0301", message, inputs=(0, port))
    shape = (*first.shape[:axis], len(types), *first.shape[axis:])
    classes = first.classes if all(t.classes == first.classes for t in types) else None
    return (TensorType(shape, first.element, classes),)


def _lower(node: Lowering) -> Sequence[Tensor]:
    axis, lead = new_axis(node.types, node.attributes), (node.batch,) if any(node.batched) else ()
    shape = node.types[0].shape
    inputs = [broadcast_to(x, (*lead, *shape)) for x in node.inputs]
    return (concat([reshape(x, (*lead, *shape[:axis], 1, *shape[axis:])) for x in inputs], axis + len(lead)),)


CATEGORY = "Shape and place"

PRIMITIVES: tuple[Primitive, ...] = (
    Primitive(
        "stack", ("x",), _infer, _lower, (Hyper("axis", "int", 0),), variadic=True,
        documentation="Tensors of one shape beside each other, along a new dimension `axis`.",
    ),
)  # fmt: skip
