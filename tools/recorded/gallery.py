"""Writes ``models/README.md``: all models with their graph and size, and the figures that are recorded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from recorded.results import ROOT, Record, read_records
from recorded.row import Row

import graphdl
from graphdl.model import Model
from graphdl.summary import quantity, summarize
from graphdl.view.notebook import model_svg

MODELS = ROOT / "models"
GRAPHS = MODELS / "pictures" / "graphs"
"""The pictures of the graphs, as SVG: ``vision-lenet.svg``."""
_HEIGHT = 96
"""The height of a graph in the table, in pixels. A click shows it whole."""
HEAD = """# The models

Each file is one system, to be read from top to bottom. `graphdl show FILE` prints its modules, `graphdl view FILE`
draws it, and `graphdl train FILE` trains it. This page is written by `python tools/record.py`, which also runs the
commands below and records their figures.

## All files

Parameters and FLOPs (of the forward pass of one example) are those of the file's own settings. A click on a graph shows
it in full size.

| file | graph | what | parameters | FLOPs |
| --- | --- | --- | --- | --- |
"""


@dataclass(frozen=True)
class Page:
    """The page, and the pictures of the graphs by their file's name."""

    text: str
    graphs: Mapping[str, str]


def write_gallery(rows: Mapping[str, Row]) -> Path:
    """Writes the page and the pictures of the graphs. Returns the path of the page."""
    page = gallery(rows)
    path = MODELS / "README.md"
    path.write_text(page.text, "utf-8")
    GRAPHS.mkdir(exist_ok=True)
    for old in GRAPHS.glob("*.svg"):
        if old.name not in page.graphs:
            old.unlink()
    for name, graph in page.graphs.items():
        (GRAPHS / name).write_text(graph, "utf-8")
    return path


def gallery(rows: Mapping[str, Row]) -> Page:
    """The page and its pictures, from the files of ``models/`` and the recorded figures."""
    lines = [HEAD.rstrip("\n")]
    graphs: dict[str, str] = {}
    for path in sorted(MODELS.rglob("*.net")):
        if _has_net(path):
            model = graphdl.load(path)
            picture = "-".join(path.relative_to(MODELS).with_suffix("").parts) + ".svg"
            graphs[picture] = model_svg(model) + "\n"
            lines.append(_file_line(path, model, picture))
    records = read_records()
    lines += ["", "## Figures", ""]
    for name, row in rows.items():
        if name in records:
            lines += _section(row, records[name])
    return Page("\n".join(lines).rstrip("\n") + "\n", graphs)


def _has_net(path: Path) -> bool:
    """Whether a file has a net; others have blocks alone."""
    return any(line.startswith("net ") for line in path.read_text("utf-8").splitlines())


def _file_line(path: Path, model: Model, picture: str) -> str:
    """A row of the table of files."""
    name = path.relative_to(MODELS)
    title = next(line for line in path.read_text("utf-8").splitlines() if line.startswith("# "))[2:].rstrip(".")
    summary = summarize(model.module_graph)
    graph = f'[<img alt="graph" src="pictures/graphs/{picture}" height="{_HEIGHT}">](pictures/graphs/{picture})'
    cells = (f"[{name.with_suffix('')}]({name})", graph, title, f"{summary.parameters:,}", quantity(summary.flops))
    return f"| {' | '.join(cells)} |"


def _section(row: Row, record: Record) -> list[str]:
    """The figures of a row."""
    lines = [f"### {row.title}", "", f"[{row.file}]({row.file}.net). Published: {row.published}.", ""]
    lines += ["| figure | value | goal |", "| --- | --- | --- |"]
    for figure in record.figures:
        missed = " (missed)" if figure.reached is False else ""
        lines.append(f"| {figure.what} | {figure.value} | {figure.goal}{missed} |")
    if record.commands:
        lines += ["", "```sh", *record.commands, "```"]
    machine = f", {record.machine}" if record.machine else ""
    lines += ["", f"{record.when}, {record.device}{machine}, {record.seconds:,.0f} s, commit {record.commit}.", ""]
    for picture in record.pictures:
        lines += [f"![{row.title}](pictures/{picture})", ""]
    return lines
