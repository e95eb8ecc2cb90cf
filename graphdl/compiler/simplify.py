"""Simplification: common subexpressions become one tensor, and what no result needs is dropped.

Plain rules of arithmetic (times one, constants of constants) hold as soon as a tensor is made: see
``graphdl.operators.elementwise``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from graphdl.operators.reduction import reduce
from graphdl.operators.structure import BroadcastTo
from graphdl.operators.tensor import Reduction, Tensor, topological

Key = TypeVar("Key")


def simplify(results: Mapping[Key, Tensor]) -> dict[Key, Tensor]:
    """The same results from a graph in which equal tensors are one; only what they need is left."""
    known: dict[tuple[object, ...], Tensor] = {}
    replaced: dict[int, Tensor] = {}
    for tensor in topological(results.values()):
        inputs = tuple(replaced[id(x)] for x in tensor.inputs)
        made = _rewritten(tensor, inputs)
        key = (made.operation, tuple(id(x) for x in made.inputs), made.shape, made.element)
        replaced[id(tensor)] = known.setdefault(key, made)
    return {name: replaced[id(tensor)] for name, tensor in results.items()}


def _rewritten(tensor: Tensor, inputs: tuple[Tensor, ...]) -> Tensor:
    operation = tensor.operation
    if isinstance(operation, Reduction) and operation.kind == "sum" and isinstance(inputs[0].operation, BroadcastTo):
        shorter = _sum_of_broadcast(inputs[0], operation.axes)
        if shorter is not None:
            shorter.origin = tensor.origin
            return shorter
    if all(a is b for a, b in zip(inputs, tensor.inputs, strict=True)):
        return tensor
    return Tensor(operation, inputs, tensor.shape, tensor.element, tensor.origin)


def _sum_of_broadcast(wide: Tensor, axes: tuple[int, ...]) -> Tensor | None:
    """A sum over dimensions that were only repeated is a multiplication; none if there is more to it."""
    x = wide.inputs[0]
    if x.rank != wide.rank or any(x.shape[a] != 1 for a in axes):
        return None
    count = 1
    for a in axes:
        count *= wide.shape[a]
    rest = tuple(1 if a in axes else n for a, n in enumerate(wide.shape))
    if rest != x.shape:
        return None
    return reduce("sum", x * float(count), ())
