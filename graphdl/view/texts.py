"""A document as text for other documents: Graphviz's DOT and Mermaid, folded as the page first shows it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

_MOST_SHOWN = 48
COLORS = {
    "convolution": "#dbe8fb", "linear": "#e8defa", "activation": "#fde2da", "normalization": "#d9f4f0",
    "pooling": "#dcf3e4", "recurrent": "#f9dcf0", "attention": "#f0dcf9", "loss": "#fbdcdf", "metric": "#fdf0d5",
    "output": "#dcf3e4", "input": "#eceef0", "shape": "#f0f1f2", "arithmetic": "#fbf4d8", "parameter": "#f5f5f6",
}  # fmt: skip


class Folding:
    """Determines which items of a document are shown: the user's own blocks are unfolded while the
    drawing stays small.
    """

    def __init__(self, document: Mapping[str, Any], most: int = _MOST_SHOWN) -> None:
        self.items: list[Mapping[str, Any]] = document["items"]
        self.document = document
        self.unfolded = {0}
        shown = len(self.items[0].get("children", ()))
        level = [self.items[child] for child in self.items[0].get("children", ())]
        while level:
            opened = [item for item in level if item["type"] in ("block", "scan") and item.get("children")]
            more = sum(len(item["children"]) for item in opened)
            if not more or shown + more > most:
                break
            self.unfolded.update(item["id"] for item in opened)
            shown += more
            level = [self.items[child] for item in opened for child in item["children"]]

    def shown(self, number: int) -> int:
        """The visible item for an item: itself, or the folded block that contains it."""
        visible, current = number, self.items[number]["parent"]
        while current is not None:
            if current not in self.unfolded:
                visible = current
            current = self.items[current]["parent"]
        return visible

    def edges(self) -> Iterator[tuple[int, int, str]]:
        """The edges between visible items, each tensor once."""
        known = set()
        for source, target, shape, value, recurrent, _ in self.document["edges"]:
            edge = (self.shown(source), self.shown(target), value)
            if edge[0] != edge[1] and edge not in known and not recurrent:
                known.add(edge)
                yield edge[0], edge[1], shape


def title(item: Mapping[str, Any]) -> str:
    """The first line of a box."""
    return f"{item['label']} {item['name']}" if item.get("name") else str(item["label"])


def dot(document: Mapping[str, Any]) -> str:
    """The graph in DOT, with blocks as clusters."""
    folding = Folding(document)
    lines = [
        f"digraph {_quoted(document['name'])} {{",
        '  node [shape=box, style="rounded,filled", fontname="Helvetica", fontsize=11]',
        '  edge [fontname="Helvetica", fontsize=9, color="#888888"]',
    ]

    def write(number: int, depth: int) -> None:
        indent = "  " * depth
        for child in folding.items[number].get("children", ()):
            item = folding.items[child]
            if child in folding.unfolded:
                lines.append(f"{indent}subgraph cluster_{child} {{")
                lines.append(f'{indent}  label={_quoted(title(item))}; style="rounded"; color="#bbbbbb"')
                write(child, depth + 1)
                lines.append(f"{indent}}}")
            else:
                label = title(item) + ("\n" + item["text"] if item.get("text") else "")
                fill = COLORS.get(item["kind"], "#e6eaf3")
                lines.append(f'{indent}n{child} [label={_quoted(label)}, fillcolor="{fill}"]')

    write(0, 1)
    lines += [f"  n{a} -> n{b} [label={_quoted(' ' + shape)}]" for a, b, shape in folding.edges()]
    return "\n".join([*lines, "}"]) + "\n"


def mermaid(document: Mapping[str, Any]) -> str:
    """The graph as a Mermaid flowchart, with blocks as subgraphs."""
    folding = Folding(document)
    lines = ["flowchart TB"]

    def write(number: int, depth: int) -> None:
        indent = "  " * depth
        for child in folding.items[number].get("children", ()):
            item = folding.items[child]
            if child in folding.unfolded:
                lines.append(f'{indent}subgraph s{child}["{_entities(title(item))}"]')
                write(child, depth + 1)
                lines.append(f"{indent}end")
            else:
                text = f"<br>{_entities(item['text'])}" if item.get("text") else ""
                lines.append(f'{indent}n{child}["{_entities(title(item))}{text}"]')

    write(0, 1)
    lines += [f'  n{a} -->|"{_entities(shape)}"| n{b}' for a, b, shape in folding.edges()]
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _entities(text: str) -> str:
    """Escapes every character that has a meaning in Mermaid as a number."""
    return "".join(c if c.isalnum() or c in " _-.,=" else f"#{ord(c)};" for c in text)
