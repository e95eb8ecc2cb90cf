"""A document drawn as SVG without a browser, for documents and notebooks."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from typing import Any

from graphdl.view.layered import Layout, Point, layered
from graphdl.view.texts import COLORS, Folding

_CHARACTER = 8.0
_SMALL = 6.0
_MARGIN = 14.0
_HEAD = 28.0
_STROKES = {
    "convolution": "#6d96d6", "linear": "#9a7cd0", "activation": "#e08a6c", "normalization": "#5bb5aa",
    "pooling": "#6ab288", "recurrent": "#cf79b4", "attention": "#b27acd", "loss": "#dc7a82", "metric": "#d9ad57",
    "output": "#6ab288", "arithmetic": "#cbb04e",
}  # fmt: skip


@dataclass
class _Box:
    """An item with its layout: folded, or with its content."""

    item: Mapping[str, Any]
    width: float
    height: float
    inner: Layout[int] | None = None
    boxes: dict[int, _Box] = field(default_factory=dict)


def svg(document: Mapping[str, Any]) -> str:
    """The graph as SVG, folded as the page first shows it."""
    return _Drawing(document).text()


class _Drawing:
    def __init__(self, document: Mapping[str, Any]) -> None:
        self.document = document
        self.folding = Folding(document)
        self.local: dict[int, dict[tuple[int, int], str]] = {}
        for source, target, shape in self.folding.edges():
            above, below = self._chain(source), self._chain(target)
            pairs = enumerate(zip(above, below, strict=False))
            depth = next((k for k, (a, b) in pairs if a != b), min(len(above), len(below)) - 1)
            self.local.setdefault(above[depth - 1], {})[above[depth], below[depth]] = shape
        self.lines: list[str] = []

    def _chain(self, number: int) -> list[int]:
        chain = [number]
        while (parent := self.folding.items[chain[-1]]["parent"]) is not None:
            chain.append(parent)
        return chain[::-1]

    def text(self) -> str:
        root = self._box(0)
        width, height = root.width + 2 * _MARGIN, root.height + 2 * _MARGIN
        self._draw_inside(root, _MARGIN, _MARGIN)
        style = (
            "text{font-family:system-ui,'Segoe UI',Roboto,'Noto Sans',sans-serif;fill:#1c2128}"
            ".t{font-size:13px;font-weight:600}.s{font-size:11px;fill:#66707b}.e{font-size:10px;fill:#66707b;"
            "stroke:#fff;stroke-width:3px;paint-order:stroke}"
        )
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
            f'viewBox="0 0 {width:.0f} {height:.0f}"><title>{escape(self.document["name"])}</title>'
            f"<style>{style}</style>"
            '<rect width="100%" height="100%" fill="#fff"/>'
        )
        return head + "\n" + "\n".join(self.lines) + "\n</svg>\n"

    def _box(self, number: int) -> _Box:
        item = self.folding.items[number]
        if number not in self.folding.unfolded:
            width = max(_heading_width(item), len(item.get("text", "")) * _SMALL) + 26
            return _Box(item, width, 40.0 if item.get("text") else 26.0)
        boxes = {child: self._box(child) for child in item.get("children", ())}
        inner = layered(
            {child: (box.width, box.height) for child, box in boxes.items()}, list(self.local.get(number, {}))
        )
        head = _HEAD if number else 0.0
        margin = _MARGIN if number else 0.0
        width = max(inner.width + 2 * margin, _heading_width(item) + 26 if number else 0.0)
        return _Box(item, width, inner.height + head + margin, inner, boxes)

    def _draw_inside(self, box: _Box, x: float, y: float) -> None:
        assert box.inner is not None
        nested = box.item["id"] != 0
        left = x + (box.width - box.inner.width) / 2
        top = y + (_HEAD if nested else 0.0)
        for child, inner in box.boxes.items():
            cx, cy = box.inner.centers[child]
            self._draw(inner, left + cx - inner.width / 2, top + cy - inner.height / 2)
        named = set()
        for (a, b), points in box.inner.routes.items():
            moved = [(left + px, top + py) for px, py in points]
            moved[0] = (moved[0][0], top + box.inner.centers[a][1] + box.boxes[a].height / 2)
            moved[-1] = (moved[-1][0], top + box.inner.centers[b][1] - box.boxes[b].height / 2)
            self.lines.append(f'<path d="{_curve(moved)}" fill="none" stroke="#97a1ac" stroke-width="1.3"/>')
            tx, ty = moved[-1]
            self.lines.append(f'<path d="M{tx - 3.6:.1f} {ty - 7:.1f}L{tx:.1f} {ty:.1f}l3.6 -7z" fill="#97a1ac"/>')
            shape = self.local[box.item["id"]][a, b]
            if (a, shape) not in named and box.boxes[a].item["kind"] != "parameter":
                named.add((a, shape))
                sx, sy = moved[0]
                shown = shape.replace("[", " ").replace("]", "").replace(", ", "×").strip()
                self.lines.append(f'<text class="e" x="{sx + 5:.1f}" y="{sy + 13:.1f}">{escape(shown)}</text>')

    def _draw(self, box: _Box, x: float, y: float) -> None:
        item = box.item
        stroke = _STROKES.get(item["kind"], "#9aa4b5")
        place = f'x="{x:.1f}" y="{y:.1f}" width="{box.width:.1f}" height="{box.height:.1f}"'
        if box.inner is not None:
            self.lines.append(f'<rect {place} rx="10" fill="#f3f5f8" stroke="{stroke}"/>')
            self.lines.append(f'<text class="t" x="{x + 12:.1f}" y="{y + 19:.1f}">{_heading(item)}</text>')
            self._draw_inside(box, x, y)
            return
        self.lines.append(f'<rect {place} rx="7" fill="{COLORS.get(item["kind"], "#e6eaf3")}" stroke="{stroke}"/>')
        middle = y + box.height / 2
        first = middle - 2 if item.get("text") else middle + 4.5
        self.lines.append(f'<text class="t" x="{x + 12:.1f}" y="{first:.1f}">{_heading(item)}</text>')
        if item.get("text"):
            self.lines.append(f'<text class="s" x="{x + 12:.1f}" y="{middle + 12:.1f}">{escape(item["text"])}</text>')


def _heading_width(item: Mapping[str, Any]) -> float:
    name = item.get("name")
    return len(item["label"]) * _CHARACTER + ((len(name) + 1) * _SMALL if name else 0.0)


def _heading(item: Mapping[str, Any]) -> str:
    name = f' <tspan class="s" font-weight="400">{escape(item["name"])}</tspan>' if item.get("name") else ""
    return escape(item["label"]) + name


def _curve(points: list[Point]) -> str:
    d = f"M{points[0][0]:.1f} {points[0][1]:.1f}"
    for (ax, ay), (bx, by) in itertools.pairwise(points):
        middle = (ay + by) / 2
        d += f"C{ax:.1f} {middle:.1f} {bx:.1f} {middle:.1f} {bx:.1f} {by:.1f}"
    return d
