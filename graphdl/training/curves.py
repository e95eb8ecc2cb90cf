"""A page with the curves of a run: one HTML file without network access, light and dark."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import floor, isfinite, log10
from typing import Any

_WIDTH, _HEIGHT = 640, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 16, 16, 36
_TICKS = 5


@dataclass
class Chart:
    """Curves over the steps of the run, by name: lists of (step, value)."""

    title: str
    curves: dict[str, list[tuple[int, float]]] = field(default_factory=dict)

    def add(self, curve: str, step: int, value: float | None) -> None:
        """Adds a point. Values that are not finite are left out."""
        if value is not None and isfinite(value):
            self.curves.setdefault(curve, []).append((step, value))


class StepCounter:
    """Counts steps over all stages: each line of metrics has the step of its own stage."""

    def __init__(self) -> None:
        self._offset = 0
        self._step = 0
        self._stage: object = None

    def of(self, record: Mapping[str, Any]) -> int:
        """The step of the run for a line of metrics."""
        if self._stage is not None and record["stage"] != self._stage:
            self._offset += self._step
        self._stage, self._step = record["stage"], record["step"]
        return self._offset + self._step


def page(title: str, records: Sequence[Mapping[str, Any]]) -> str:
    """The HTML page of a run's curves from the lines of its ``metrics.jsonl``."""
    charts = _charts(records)
    figures = "\n".join(_figure(chart, number) for number, chart in enumerate(charts) if chart.curves)
    data = json.dumps([{"x": _spread(chart)[0], "curves": chart.curves} for chart in charts if chart.curves])
    name = html.escape(title)
    last = next((record for record in reversed(records) if record["kind"] == "epoch"), None)
    state = f"<p>{html.escape(_summary(last))}</p>" if last is not None else "<p>no epoch has ended yet</p>"
    data = data.replace("</", "<\\/")
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{name}</title>\n'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head>\n'
        f"<body><h1>{name}</h1>{state}\n{figures}\n"
        f"<script>const charts = {data};{_SCRIPT}</script></body></html>\n"
    )


def _charts(records: Sequence[Mapping[str, Any]]) -> list[Chart]:
    loss, rate = Chart("loss"), Chart("learning rate")
    metrics: dict[str, Chart] = {}
    steps = StepCounter()
    for record in records:
        at = steps.of(record)
        rate.add("lr", at, record["lr"])
        if record["kind"] != "epoch":
            loss.add("training, within the epoch", at, record["loss"])
            continue
        loss.add("training", at, record["loss"])
        for name, value in record["metrics"].items():
            metrics.setdefault(name, Chart(name)).add("training", at, value)
        if held_out := record.get("held_out"):
            loss.add(held_out["split"], at, held_out["loss"])
            for name, value in held_out["metrics"].items():
                metrics.setdefault(name, Chart(name)).add(held_out["split"], at, value)
    return [loss, *metrics.values(), rate]


def _summary(record: Mapping[str, Any]) -> str:
    seconds = record.get("seconds", 0.0)
    parts = [f"stage {record['stage']}, epoch {record['epoch']}, step {record['step']}, {seconds:.0f} s"]
    measured = record.get("held_out") or record
    where = measured.get("split", "training")
    values = {"loss": measured["loss"], **measured["metrics"]}
    parts += [f"{where} {name} {value:.4g}" for name, value in values.items() if value is not None]
    return " · ".join(parts)


def _spread(chart: Chart) -> tuple[tuple[float, float], tuple[float, float]]:
    """The range of steps, and the range of values with a margin."""
    points = [point for curve in chart.curves.values() for point in curve]
    values = [value for _, value in points]
    low, high = min(values), max(values)
    margin = (high - low) * 0.05 or abs(high) * 0.05 or 1.0
    steps = [step for step, _ in points]
    first = 0 if len(set(steps)) < 2 else min(steps)
    return (first, max(max(steps), first + 1)), (low - margin, high + margin)


def _figure(chart: Chart, number: int) -> str:
    (x0, x1), (y0, y1) = _spread(chart)

    def x(step: float) -> float:
        return round(_LEFT + (step - x0) / (x1 - x0) * (_WIDTH - _LEFT - _RIGHT), 1)

    def y(value: float) -> float:
        return round(_TOP + (y1 - value) / (y1 - y0) * (_HEIGHT - _TOP - _BOTTOM), 1)

    lines = []
    for value in _ticks(y0, y1):
        lines.append(f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y(value)}" y2="{y(value)}"/>')
        lines.append(f'<text class="left" x="{_LEFT - 6}" y="{y(value) + 4}">{value:.4g}</text>')
    for value in _ticks(x0, x1):
        lines.append(f'<text class="below" x="{x(value)}" y="{_HEIGHT - _BOTTOM + 18}">{value:g}</text>')
    legend = []
    for place, (name, points) in enumerate(chart.curves.items()):
        path = " ".join(f"{x(step)},{y(value)}" for step, value in points)
        lines.append(f'<polyline class="c{place % 4}" points="{path}"/>')
        if len(points) == 1:
            lines.append(f'<circle class="c{place % 4}" cx="{x(points[0][0])}" cy="{y(points[0][1])}" r="3"/>')
        legend.append(f'<span class="c{place % 4}">{html.escape(name)}</span>')
    return (
        f"<figure><figcaption><b>{html.escape(chart.title)}</b> {' '.join(legend)}<output></output></figcaption>"
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" data-chart="{number}" role="img" '
        f'aria-label="{html.escape(chart.title)} over the steps">{"".join(lines)}'
        f'<text class="below" x="{(_LEFT + _WIDTH - _RIGHT) / 2}" y="{_HEIGHT - 2}">step</text>'
        f'<line class="cursor" y1="{_TOP}" y2="{_HEIGHT - _BOTTOM}"/></svg></figure>'
    )


def _ticks(low: float, high: float) -> list[float]:
    """About five round numbers within a range."""
    rough = (high - low) / _TICKS
    power = 10.0 ** floor(log10(rough))
    size = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough)
    first = floor(low / size) + 1
    return [tick * size for tick in range(first, floor(high / size) + 1)]


_STYLE = """
:root { color-scheme: light dark; --ink: #222; --paper: #fff; --grid: #ddd;
  --c0: #1f5fa8; --c1: #c2551d; --c2: #2c7d3f; --c3: #7a4a9e; }
@media (prefers-color-scheme: dark) { :root { --ink: #ddd; --paper: #16181c; --grid: #33363c;
  --c0: #78b0ee; --c1: #f0995f; --c2: #7cc98d; --c3: #c19be0; } }
body { font: 15px system-ui, sans-serif; color: var(--ink); background: var(--paper);
  margin: 2em auto; max-width: 46em; }
figure { margin: 2em 0; } svg { width: 100%; height: auto; } text { fill: var(--ink); font-size: 12px; }
.left { text-anchor: end; } .below { text-anchor: middle; } .grid { stroke: var(--grid); }
polyline { fill: none; stroke-width: 2; } .cursor { stroke: none; } output { float: right; }
polyline.c0 { stroke: var(--c0); } polyline.c1 { stroke: var(--c1); }
polyline.c2 { stroke: var(--c2); } polyline.c3 { stroke: var(--c3); }
circle.c0 { fill: var(--c0); } circle.c1 { fill: var(--c1); }
circle.c2 { fill: var(--c2); } circle.c3 { fill: var(--c3); }
span.c0 { color: var(--c0); } span.c1 { color: var(--c1); } span.c2 { color: var(--c2); } span.c3 { color: var(--c3); }
"""

_SCRIPT = f"""
document.querySelectorAll("svg").forEach((svg, number) => {{
  const chart = charts[number], [first, last] = chart.x, cursor = svg.querySelector(".cursor");
  const out = svg.parentElement.querySelector("output");
  svg.addEventListener("mousemove", event => {{
    const box = svg.getBoundingClientRect(), x = (event.clientX - box.left) / box.width * {_WIDTH};
    const step = first + (x - {_LEFT}) / {_WIDTH - _LEFT - _RIGHT} * (last - first);
    const near = Object.entries(chart.curves).map(([name, points]) =>
      [name, points.reduce((a, b) => Math.abs(b[0] - step) < Math.abs(a[0] - step) ? b : a)]);
    out.textContent = near.map(([name, [at, value]]) => name + " " + value.toPrecision(4) + " (" + at + ")").join(", ");
    cursor.setAttribute("x1", x); cursor.setAttribute("x2", x); cursor.style.stroke = "var(--grid)";
  }});
  svg.addEventListener("mouseleave", () => {{ out.textContent = ""; cursor.style.stroke = "none"; }});
}});
"""
