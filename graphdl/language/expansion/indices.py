"""Limits for inputs that are used directly as an index: data out of range is refused before the program runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from graphdl.graph.model import ModuleGraph, Node, ScanBody, Value
from graphdl.operators import PRIMITIVES


def limit_inputs(graph: ModuleGraph) -> None:
    """Sets the ``limit`` of the type of each such input: the smallest number of valid indices of the tensors that it
    indexes.

    An index that is computed from an input has no limit: the computation may bring it into range.
    """
    limits: dict[Value, int] = {}
    _search(graph.nodes, {id(value): value for value in graph.inputs.values()}, limits)
    for value, limit in limits.items():
        if value.type.classes is None:
            value.type = replace(value.type, limit=limit)


def _search(nodes: Sequence[Node], fed: Mapping[int, Value], limits: dict[Value, int]) -> None:
    """Searches nodes for indices. ``fed`` maps the ids of values that contain only elements of an
    input to that input.
    """
    fed = dict(fed)
    for node in nodes:
        if node.operator == "scan":
            body: ScanBody = node.attributes["body"]
            outside = (*node.inputs[: len(body.items)], *node.inputs[len(body.items) + len(body.states) :])
            inside = zip((*body.items, *body.captured), outside, strict=True)
            _search(body.nodes, {id(inner): fed[id(outer)] for inner, outer in inside if id(outer) in fed}, limits)
            continue
        primitive = PRIMITIVES.get(node.operator)
        if primitive is None:
            continue
        if primitive.moves and id(node.inputs[0]) in fed:
            fed[id(node.outputs[0])] = fed[id(node.inputs[0])]
        elif primitive.places is not None and id(node.inputs[1]) in fed:
            value = fed[id(node.inputs[1])]
            places = primitive.places([x.type for x in node.inputs], node.attributes)
            limits[value] = min(places, limits.get(value, places))
