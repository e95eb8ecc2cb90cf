"""The module graph as a networkx graph, for drawing, searching and measuring."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypedDict

from graphdl.graph.model import Module, ModuleGraph
from graphdl.graph.types import TensorType
from graphdl.source import Span

if TYPE_CHECKING:
    import networkx


class NodeAttributes(TypedDict):
    """The attributes of a node, which is one application of a primitive. The key of a node is its number."""

    operator: str
    name: str | None
    """The name of its value in the text of the model."""
    module: str
    """The path of the block that contains it."""
    hierarchy: tuple[str, ...]
    """The paths of all enclosing blocks, from the net ('') to ``module``."""
    hyperparameters: Mapping[str, Any]
    types: tuple[TensorType, ...]
    """The types of its outputs, for one example."""
    span: Span


class EdgeAttributes(TypedDict):
    """The attributes of an edge, which is a tensor that flows from one node to another."""

    type: TensorType
    output: int
    """The index of the source's output."""
    input: int
    """The index of the target's input, which is also the edge's key."""
    batched: bool


class ModuleAttributes(TypedDict):
    """The attributes of a block: an entry of ``graph.graph["modules"]``, by path."""

    kind: str
    parent: str | None
    children: tuple[str, ...]
    hyperparameters: Mapping[str, Any]
    documentation: str | None
    span: Span


def digraph(graph: ModuleGraph) -> networkx.MultiDiGraph:
    """The module graph as a directed acyclic multigraph.

    ``NodeAttributes``, ``EdgeAttributes`` and ``ModuleAttributes`` describe its contents. The graph itself has
    ``name``, ``modules`` (the blocks by path), and dictionaries ``inputs``, ``parameters``, ``states``, ``outputs``,
    ``losses`` and ``metrics`` from names to node numbers.
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
    """A module and all modules below it in the order of the text, each before its children."""
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
