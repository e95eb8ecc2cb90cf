"""The cost of each node of a module graph for one example: floating-point operations and bytes of activations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from graphdl.compiler.lowering import lower
from graphdl.graph.model import ModuleGraph, Node
from graphdl.operators.tensor import Source, Tensor, View, topological


@dataclass(frozen=True, slots=True)
class Cost:
    """``flops`` of the forward pass, and ``bytes`` of the node's values. Views of other tensors add no bytes."""

    flops: int = 0
    bytes: int = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.flops + other.flops, self.bytes + other.bytes)


def costs(graph: ModuleGraph) -> Mapping[int, Cost]:
    """The costs by node number. The costs of a scan's body include all its steps. Nodes without cost are left out.

    Raises:
        ModelError: a lowering rule refuses the net.
    """
    found: dict[int, Cost] = {}
    lowered = lower(graph, 1, unrolled=True)
    held = {id(base): base for base in map(_base, lowered.values.values())}
    for tensor in topological(lowered.values.values()):
        node: Node | None = tensor.origin
        if node is None:
            continue
        cost = Cost(tensor.operation.flops(tensor), _bytes(tensor) if id(tensor) in held else 0)
        if cost != Cost():
            found[node.id] = found.get(node.id, Cost()) + cost
    return found


def _base(tensor: Tensor) -> Tensor:
    """The tensor that holds a node's value: the base of a view that was made for the same node."""
    while isinstance(tensor.operation, View) and tensor.inputs and tensor.inputs[0].origin is tensor.origin:
        tensor = tensor.inputs[0]
    return tensor


def _bytes(tensor: Tensor) -> int:
    is_free = isinstance(tensor.operation, View | Source)
    return 0 if is_free else tensor.size * tensor.stored.bytes
