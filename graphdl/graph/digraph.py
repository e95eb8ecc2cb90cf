"""The module graph as a networkx graph, for whoever wants to draw, search or measure it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypedDict

from graphdl.graph.model import Module, ModuleGraph
from graphdl.graph.types import TensorType
from graphdl.source import Span

if TYPE_CHECKING:
    import networkx


class NodeAttributes(TypedDict):
    """Of a node, whose key is its number: one application of a primitive."""

    operator: str
    name: str | None
    """The name that the model's text gives its value."""
    module: str
    """The path of the block that it stands in."""
    hierarchy: tuple[str, ...]
    """The paths of all blocks around it, from the net ('') to ``module``."""
    hyperparameters: Mapping[str, Any]
    types: tuple[TensorType, ...]
    """Of its outputs, for one example."""
    span: Span


class EdgeAttributes(TypedDict):
    """Of an edge: a tensor that flows from one node to another."""

    type: TensorType
    output: int
    """Which output of the source it is."""
    input: int
    """Which input of the target it feeds; the edge's key, too."""
    batched: bool


class ModuleAttributes(TypedDict):
    """Of a block: an entry of ``graph.graph["modules"]``, by path."""

    kind: str
    parent: str | None
    children: tuple[str, ...]
    hyperparameters: Mapping[str, Any]
    documentation: str | None
    span: Span


def digraph(graph: ModuleGraph) -> networkx.MultiDiGraph:
    """A directed acyclic multigraph; ``NodeAttributes``, ``EdgeAttributes``, ``ModuleAttributes`` say what is in it.

    The graph itself has ``name``, ``modules`` (the blocks by path), and for each of ``inputs``, ``parameters``,
    ``states``, ``outputs``, ``losses`` and ``metrics`` the node that makes it, by name.
    """
    import networkx

    made = networkx.MultiDiGraph(name=graph.name, modules={m.path: _module(m) for m in modules(graph.root)})
    for kind in ("inputs", "outputs", "losses", "metrics"):
        made.graph[kind] = {name: value.node.id for name, value in getattr(graph, kind).items()}
    for kind in ("parameters", "states"):
        made.graph[kind] = {path: variable.value.node.id for path, variable in getattr(graph, kind).items()}
    for node in graph.nodes:
        attributes: NodeAttributes = {
            "operator": node.operator,
            "name": node.name,
            "module": node.module.path,
            "hierarchy": tuple(module.path for module in _around(node.module)),
            "hyperparameters": node.attributes,
            "types": tuple(value.type for value in node.outputs),
            "span": node.span,
        }
        made.add_node(node.id, **attributes)
        for position, value in enumerate(node.inputs):
            edge: EdgeAttributes = {
                "type": value.type,
                "output": value.index,
                "input": position,
                "batched": value.batched,
            }
            made.add_edge(value.node.id, node.id, key=position, **edge)
    return made


def modules(root: Module) -> list[Module]:
    """A module and all below it, each before its children, in the order of the text."""
    found, pending = [], [root]
    while pending:
        module = pending.pop()
        found.append(module)
        pending.extend(reversed(module.children))
    return found


def _module(module: Module) -> ModuleAttributes:
    return {
        "kind": module.kind,
        "parent": None if module.parent is None else module.parent.path,
        "children": tuple(child.path for child in module.children),
        "hyperparameters": module.hyperparameters,
        "documentation": module.documentation,
        "span": module.span,
    }


def _around(module: Module) -> list[Module]:
    chain = [module]
    while chain[-1].parent is not None:
        chain.append(chain[-1].parent)
    return chain[::-1]
