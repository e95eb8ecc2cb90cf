"""A module graph as a document for the page and for other programs: plain JSON values.

Items form a tree: blocks contain blocks and operators. A shared module has one item for each of its applications. At
least three equal blocks in a row become a series. Edges connect operators. A program that draws a folded block attaches
the edges of its content to it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from pathlib import PurePosixPath
from typing import Any

from graphdl.graph.model import Module, ModuleGraph, Node, ScanBody, Value
from graphdl.graph.paths import carries_gradient
from graphdl.operators import PRIMITIVES
from graphdl.source import Source, Span
from graphdl.view.costs import Cost, costs

FORMAT = 1
"""The version of the document's format."""
_LEAST_SERIES = 3
_SHOWN_TEXT = 28
_SHOWN_ITEMS = 16
_FLOAT_BYTES = 4
_USUAL: Mapping[str, Any] = {
    "stride": 1, "pad": 0, "dilation": 1, "groups": 1, "bias": True, "axis": -1, "epsilon": 1e-5, "keep": False,
    "count_pad": True, "output_pad": 0, "mode": "nearest", "momentum": 0.1, "steps": [1], "squeeze": [],
    "ceil": False,
}  # fmt: skip
"""Hyperparameters that a node's short text omits if they have these usual values."""
_KINDS_OF_LIBRARY = {
    "loss": "loss", "metric": "metric", "convolution": "convolution", "linear": "linear", "activation": "activation",
    "normalization": "normalization", "pooling": "pooling", "recurrent": "recurrent", "attention": "attention",
    "sampling": "pooling",
}  # fmt: skip
_KINDS_OF_CATEGORIES = {
    "Shape and place": "shape", "Classes and look-up": "shape", "Windows of images": "pooling",
    "Convolution": "convolution",
}  # fmt: skip
"""Kinds of primitives by category. Primitives of all other categories are arithmetic."""
_KINDS_OF_OPERATORS = {
    "matmul": "linear", "input": "input", "item": "input", "param": "parameter", "state": "parameter",
    "constant": "parameter", "draw": "parameter", "scan": "recurrent",
}  # fmt: skip
"""Kinds of single primitives, and of nodes that apply no primitive."""


@dataclass(eq=False)
class Item:
    """A box of the drawing: a block, an operator, a result of the net, or a series of equal blocks."""

    id: int
    parent: Item | None
    label: str
    kind: str
    """The property that determines its colour: convolution, activation, …"""
    path: str
    span: Span | None
    first: int
    """The number of its first node, by which siblings are ordered."""
    type: str = "operator"
    """operator, block, library, scan, series or result"""
    name: str | None = None
    text: str = ""
    hyperparameters: dict[str, str] = field(default_factory=dict)
    documentation: str | None = None
    inputs: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    cost: Cost = field(default_factory=Cost)
    held: int = 0
    """Bytes of a block's outputs."""
    variables: dict[str, None] = field(default_factory=dict)
    shared: tuple[int, int] | None = None
    """The number of this application of a module, and the number of its applications."""
    nodes: list[int] = field(default_factory=list)
    children: list[Item] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Edge:
    """A tensor that flows from one operator to another. ``value`` is the number of the tensor."""

    source: Item
    target: Item
    shape: str
    value: int
    smooth: bool = True
    """Whether gradients flow back along it."""
    recurrent: bool = False
    """Whether it leads from one step of a scan to the next."""


def document(graph: ModuleGraph) -> dict[str, Any]:
    """The document of a net.

    Raises:
        ModelError: the net cannot be lowered.
    """
    drawing = Drawing(graph)
    return drawing.to_json()


class Drawing:
    """The items and edges of a module graph."""

    def __init__(self, graph: ModuleGraph) -> None:
        self.graph = graph
        self.items: list[Item] = []
        self.edges: list[Edge] = []
        self.costs = costs(graph)
        self.sources: dict[int, tuple[int, Source]] = {}
        self.root = self._item(None, graph.root.kind, "block", "", graph.root.span, -1)
        self.root.type, self.root.documentation = "block", graph.documentation or graph.root.documentation
        self.root.hyperparameters = _texts(graph.hyperparameters)
        self._blocks: dict[tuple[int, int, int], Item] = {}
        self._leaves: dict[int, Item] = {}
        self._origins: dict[int, Value] = {}
        self._variables: dict[tuple[int, int], Item] = {}
        self._values: dict[int, int] = {}
        self._add_nodes(graph.nodes, None)
        self._add_results()
        for child in list(self.root.children):
            self._gather(child)
        self._series(self.root)
        self._sum(self.root)

    # --------------------------------------------------------------------------------------------------------- items

    def _item(self, parent: Item | None, label: str, kind: str, path: str, span: Span | None, first: int) -> Item:
        item = Item(len(self.items), parent, label, kind, path, span, first)
        self.items.append(item)
        if parent is not None:
            parent.children.append(item)
        return item

    def _block(self, module: Module, node: int, scan: Node | None) -> Item:
        """The item of the application of a module that made the node. Inside a scan, it is below the scan's item."""
        if scan is not None and self._surrounds(module, scan):
            return self._leaves[scan.id]
        if module.parent is None:
            return self.root
        turn = next((k for k, (first, end) in enumerate(module.applications) if first <= node < end), 0)
        key = (id(module), turn, -1 if scan is None else scan.id)
        if key not in self._blocks:
            parent = self._block(module.parent, node, scan)
            item = self._item(parent, module.kind, "block", module.path, module.span, node)
            item.type = "block"
            item.hyperparameters = _texts(module.hyperparameters)
            item.text = _summary(module.hyperparameters)
            item.documentation = module.documentation
            item.inputs = [str(value.type) for value in module.inputs]
            item.outputs = [str(value.type) for value in module.outputs]
            item.held = sum(value.type.size for value in module.outputs) * _FLOAT_BYTES
            if len(module.applications) > 1:
                item.shared = (turn + 1, len(module.applications))
            last = module.path.rpartition(".")[2]
            numbered = last.removeprefix(module.kind + "_")
            item.name = None if last == module.kind or (numbered != last and numbered.isdigit()) else last
            self._blocks[key] = item
        return self._blocks[key]

    def _surrounds(self, module: Module, scan: Node) -> bool:
        """Whether a module contains the scan and is not itself inside it."""
        current: Module | None = scan.module
        while current is not None:
            if current is module:
                return True
            current = current.parent
        return False

    def _add_nodes(self, nodes: Iterable[Node], scan: Node | None) -> None:
        for node in nodes:
            if node.operator in ("param", "state", "constant"):
                continue
            if id(node.outputs[0]) in self._origins:
                continue
            parent = self._block(node.module, node.id, scan)
            if parent.type == "block" and parent is not self.root and node.span.in_library:
                parent.type = "library"
                parent.kind = _KINDS_OF_LIBRARY.get(PurePosixPath(node.span.source.name).stem, "library")
            name = node.attributes["name"] if node.operator == "input" else node.name
            item = self._item(parent, node.operator, _kind(node), node.module.path, node.span, node.id)
            item.name = name
            item.nodes.append(node.id)
            body = node.attributes.get("body")
            item.outputs = [str(value.type) for value in node.outputs]
            item.inputs = [str(value.type) for value in node.inputs]
            shown = {key: value for key, value in node.attributes.items() if key not in ("name", "body")}
            item.hyperparameters = _texts(shown)
            item.text = _range(shown) if node.operator == "slice" else _summary(shown)
            item.cost = self.costs.get(node.id, Cost())
            self._leaves[node.id] = item
            if isinstance(body, ScanBody):
                self._scan(node, item, body)
            else:
                for value in node.inputs:
                    self._edge(value, item, node)

    def _scan(self, node: Node, item: Item, body: ScanBody) -> None:
        item.type, item.text = "scan", f"{node.attributes['length']} steps"
        outside = node.inputs[len(body.items) + len(body.states) :]
        self._origins |= {id(inner): outer for inner, outer in zip(body.captured, outside, strict=True)}
        self._add_nodes(body.nodes, node)
        for inner, outer in zip((*body.items, *body.states), node.inputs, strict=False):
            self._edge(outer, self._leaves[inner.node.id])
        for state, following in zip(body.states, body.next_states, strict=True):
            source = self._leaves.get(self._origin(following).node.id)
            if source is not None:
                number = self._values.setdefault(id(following), len(self._values))
                self.edges.append(Edge(source, self._leaves[state.node.id], str(state.type), number, recurrent=True))
        self._origins |= {
            id(value): inner for value, inner in zip(node.outputs, (*body.emitted, *body.next_states), strict=True)
        }

    def _origin(self, value: Value) -> Value:
        while id(value) in self._origins:
            value = self._origins[id(value)]
        return value

    def _edge(self, value: Value, target: Item, reader: Node | None = None) -> None:
        origin = self._origin(value)
        node = origin.node
        if node.operator == "constant":
            target.hyperparameters.setdefault("constant", _text(node.attributes["value"]))
            return
        source = self._variable(node, target) if node.operator in ("param", "state") else self._leaves[node.id]
        number = self._values.setdefault(id(origin), len(self._values))
        self.edges.append(Edge(source, target, str(value.type), number, carries_gradient(value, reader)))

    def _variable(self, node: Node, target: Item) -> Item:
        """The item of a parameter. Every block that reads a parameter has one."""
        assert target.parent is not None
        key = (node.id, target.parent.id)
        if key not in self._variables:
            path = str(node.attributes["name"])
            item = self._item(target.parent, node.name or path, "parameter", path, node.span, target.first)
            item.name, item.text = None, str(node.outputs[0].type)
            item.outputs = [str(node.outputs[0].type)]
            item.nodes.append(node.id)
            item.label = node.operator
            item.name = path.rpartition(".")[2]
            self._variables[key] = item
        item = self._variables[key]
        variable = self.graph.parameters if node.operator == "param" else self.graph.states
        path = str(node.attributes["name"])
        if path in variable:
            item.variables[path] = None
        return item

    def _add_results(self) -> None:
        """Adds the outputs, losses and metrics as boxes at the bottom."""
        last = self.graph.nodes[-1].id + 1 if self.graph.nodes else 0
        for kind in ("outputs", "losses", "metrics"):
            singular = {"outputs": "output", "losses": "loss", "metrics": "metric"}[kind]
            for name, value in getattr(self.graph, kind).items():
                item = self._item(self.root, singular, singular, name, self._origin(value).node.span, last)
                item.type, item.name = "result", name
                item.inputs = [str(value.type)]
                if self._origin(value).node.operator not in ("constant",):
                    self._edge(value, item)

    # -------------------------------------------------------------------------------------------------------- series

    def _gather(self, item: Item) -> None:
        for child in list(item.children):
            self._gather(child)
        self._series(item)

    def _series(self, item: Item) -> None:
        """Replaces runs of equal blocks among the children by series."""
        children = sorted(item.children, key=lambda child: child.first)
        gathered: list[Item] = []
        position = 0
        while position < len(children):
            end = position + 1
            if children[position].type in ("block", "library") and children[position].children:
                alike = _alike(children[position])
                while end < len(children) and _alike(children[end]) == alike:
                    end += 1
            run = children[position:end]
            if len(run) >= _LEAST_SERIES and len(run) < len(children):
                gathered.append(self._put_together(item, run))
            else:
                gathered.extend(run)
            position = end
        item.children = gathered

    def _put_together(self, parent: Item, run: Sequence[Item]) -> Item:
        head = run[0]
        label = f"{head.label} × {len(run)}"
        series = Item(len(self.items), parent, label, head.kind, head.path, head.span, head.first)
        series.type, series.text = "series", head.text
        series.inputs, series.outputs = head.inputs, run[-1].outputs
        series.documentation, series.hyperparameters = head.documentation, head.hyperparameters
        series.children = list(run)
        self.items.append(series)
        for each in run:
            each.parent = series
        return series

    def _sum(self, item: Item) -> None:
        for child in item.children:
            self._sum(child)
            item.cost = item.cost + child.cost
            item.variables |= child.variables
        if item.type == "library":  # as in the table of ``graphdl show``: its outputs, not its intermediate values
            item.cost = Cost(item.cost.flops, item.held)

    # ---------------------------------------------------------------------------------------------------------- JSON

    def to_json(self) -> dict[str, Any]:
        """The document. Its entries are described in ``docs/visualizer.md``."""
        places = [self._place(item.span) for item in self.items]
        return {
            "format": FORMAT,
            "name": self.graph.name,
            "documentation": self.root.documentation,
            "sources": [
                {"name": source.name, "text": source.text, "library": source.origin == "library"}
                for _, source in self.sources.values()
            ],
            "items": [_item_json(item, place) for item, place in zip(self.items, places, strict=True)],
            "edges": [
                [e.source.id, e.target.id, e.shape, e.value, int(e.recurrent), int(e.smooth)] for e in self.edges
            ],
            "parameters": {path: list(v.type.shape) for path, v in self.graph.parameters.items()},
            "states": {path: list(v.type.shape) for path, v in self.graph.states.items()},
            "parameterCount": sum(prod(v.type.shape) for v in self.graph.parameters.values()),
        }

    def _place(self, span: Span | None) -> list[int] | None:
        """``[source, line, column, last line, last column]``."""
        if span is None:
            return None
        number, _ = self.sources.setdefault(id(span.source), (len(self.sources), span.source))
        start = span.source.position(span.start)
        end = span.source.position(max(span.start, span.end - 1))
        return [number, *start, *end]


def _item_json(item: Item, place: list[int] | None) -> dict[str, Any]:
    entries: dict[str, Any] = {
        "id": item.id,
        "parent": None if item.parent is None else item.parent.id,
        "type": item.type,
        "label": item.label,
        "kind": item.kind,
        "name": item.name,
        "text": item.text,
        "path": item.path,
        "place": place,
        "hyperparameters": item.hyperparameters,
        "documentation": item.documentation,
        "inputs": item.inputs,
        "outputs": item.outputs,
        "variables": list(item.variables),
        "flops": item.cost.flops,
        "bytes": item.cost.bytes,
        "shared": None if item.shared is None else list(item.shared),
        "children": [child.id for child in item.children],
        "nodes": item.nodes,
    }
    return {key: value for key, value in entries.items() if value not in (None, "", [], {}) or key in ("id", "parent")}


def _alike(item: Item) -> tuple[Any, ...]:
    return (item.type, item.label, json.dumps(item.hyperparameters), tuple(item.inputs), tuple(item.outputs))


def _kind(node: Node) -> str:
    if node.operator in _KINDS_OF_OPERATORS:
        return _KINDS_OF_OPERATORS[node.operator]
    return _KINDS_OF_CATEGORIES.get(PRIMITIVES[node.operator].category, "arithmetic")


def _texts(values: Mapping[str, Any]) -> dict[str, str]:
    return {key: _text(value) for key, value in values.items()}


def _text(value: Any, room: int = 3) -> str:
    """A hyperparameter as the language writes it. Lists that are long or nested more than ``room`` deep are shortened.
    A module is shown by its name.
    """
    match value:
        case bool():
            return "true" if value else "false"
        case None:
            return "none"
        case float():
            return f"{value:g}"
        case int() | str():
            return str(value)
        case list() | tuple():
            if room == 0:
                return "[…]"
            shown = [_text(item, room - 1) for item in value[:_SHOWN_ITEMS]]
            return "[" + ", ".join(shown) + (", …]" if len(value) > _SHOWN_ITEMS else "]")
    return str(getattr(value, "name", None) or getattr(value, "kind", None) or type(value).__name__.lower())


def _range(values: Mapping[str, Any]) -> str:
    """A slice as it is written: ``3, 0:16``."""
    dropped = values["squeeze"]
    bounds = zip(values["starts"], values["stops"], values["steps"], strict=True)
    parts = [
        str(a) if axis in dropped else f"{a}:{b}" + (f":{step}" if step != 1 else "")
        for axis, (a, b, step) in enumerate(bounds)
    ]
    return "[" + ", ".join(parts) + "]"


def _summary(values: Mapping[str, Any]) -> str:
    """The hyperparameters that distinguish a node from others of its kind, shortened: ``64, 7, stride 2``."""
    words: list[str] = []
    bare = True
    for key, value in values.items():
        usual = _USUAL.get(key) == value and type(_USUAL.get(key)) is type(value)
        if usual or value is None or (key == "stride" and value == values.get("kernel")):
            bare = False
            continue
        if isinstance(value, bool):
            words.append(key if value else f"no {key}")
        elif bare and len(words) < 2:
            words.append(_text(value))
        else:
            words.append(f"{key} {_text(value)}")
    text = ", ".join(words)
    return text if len(text) <= _SHOWN_TEXT else text[: _SHOWN_TEXT - 1] + "…"
