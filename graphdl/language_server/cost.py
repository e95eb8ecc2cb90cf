"""The cost of a node of the module graph."""

from __future__ import annotations

from graphdl.graph.model import Node, ScanBody, Value
from graphdl.operators import PRIMITIVES, Lowering
from graphdl.operators.tensor import Tensor, array, feed, topological


def flops(node: Node) -> int:
    """The floating-point operations of a node's forward pass for one example. A multiply-add counts as two.

    Nodes that only move or store numbers cost nothing. A ``scan`` costs its body at every step.
    """
    if node.operator == "scan":
        body: ScanBody = node.attributes["body"]
        return int(node.attributes["length"]) * sum(map(flops, body.nodes))
    primitive = PRIMITIVES.get(node.operator)
    if primitive is None:
        return 0
    results = primitive.lower(
        Lowering(
            inputs=tuple(_placeholder(value, number) for number, value in enumerate(node.inputs)),
            batched=tuple(value.batched for value in node.inputs),
            types=tuple(value.type for value in node.inputs),
            attributes=node.attributes,
            outputs=tuple(value.type for value in node.outputs),
            batch=1,
            key="",
        )
    )
    return sum(x.operation.flops(x) for x in topological(results))


def _placeholder(value: Value, number: int) -> Tensor:
    if value.node.operator == "constant":
        return array(value.node.attributes["value"], value.type.element)
    shape = (1, *value.type.shape) if value.batched else value.type.shape
    return feed(str(number), shape, value.type.element)
