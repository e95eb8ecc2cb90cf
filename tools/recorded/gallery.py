"""Writes ``models/README.md``: all models with their size, and the figures that are recorded."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from recorded.results import ROOT, Record, read_records
from recorded.row import Row

import graphdl
from graphdl.summary import quantity, summarize

MODELS = ROOT / "models"
HEAD = """# The models

Each file is one system, to be read from top to bottom. `graphdl show FILE` prints its modules, `graphdl view FILE`
draws it, and `graphdl train FILE` trains it. This page is written by `python tools/record.py`, which also runs the
commands below and records their figures.

## All files

Parameters and FLOPs (of the forward pass of one example) are those of the file's own settings.

| file | what | parameters | FLOPs |
| --- | --- | --- | --- |
"""


def write_gallery(rows: Mapping[str, Row]) -> Path:
    """Writes the page. Returns its path."""
    path = MODELS / "README.md"
    path.write_text(page(rows), "utf-8")
    return path


def page(rows: Mapping[str, Row]) -> str:
    """The text of the page."""
    lines = [HEAD.rstrip("\n")]
    lines += [line for path in sorted(MODELS.rglob("*.net")) if (line := _file_line(path))]
    records = read_records()
    lines += ["", "## Figures", ""]
    for name, row in rows.items():
        if name in records:
            lines += _section(row, records[name])
    return "\n".join(lines).rstrip("\n") + "\n"


def _file_line(path: Path) -> str:
    """A row of the table of files; empty for a file of blocks alone."""
    lines = path.read_text("utf-8").splitlines()
    if not any(line.startswith("net ") for line in lines):
        return ""
    name = path.relative_to(MODELS)
    title = next(line for line in lines if line.startswith("# "))[2:].rstrip(".")
    summary = summarize(graphdl.load(path).module_graph)
    return f"| [{name.with_suffix('')}]({name}) | {title} | {summary.parameters:,} | {quantity(summary.flops)} |"


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
