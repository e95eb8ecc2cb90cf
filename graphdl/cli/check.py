"""``graphdl check``: all diagnostics of some files. No expensive imports, so that it answers at once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from graphdl.cli.options import model_options, use_color
from graphdl.diagnostics import Diagnostic, ModelError
from graphdl.language.expansion.watching import Watcher

if TYPE_CHECKING:
    from graphdl.graph.model import ModuleGraph
    from graphdl.language.expansion.values import Definition


@click.command("check")
@click.argument("files", metavar="FILE…", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--format", "form", type=click.Choice(["text", "json", "github"]), default="text", show_default=True)
@click.option("--strict", is_flag=True, help="Warnings are errors.")
@model_options
def command(files: tuple[Path, ...], form: str, strict: bool, net: str | None, settings: dict[str, str]) -> int:
    """Says everything that is wrong with the files, and where."""
    found = [diagnostic for file in files for diagnostic in _check(file, net, settings)]
    if form == "json":
        click.echo(json.dumps([diagnostic.to_json() for diagnostic in found], indent=2))
    elif form == "github":
        for diagnostic in found:
            click.echo(_annotation(diagnostic))
    elif found:
        from graphdl.rendering import render

        click.echo("\n\n".join(render(diagnostic, color=use_color()) for diagnostic in found))
        click.echo()
    errors = sum(diagnostic.is_error for diagnostic in found)
    if form == "text":
        warnings = len(found) - errors
        click.echo(f"{_count(len(files), 'file')}: {_count(errors, 'error')}, {_count(warnings, 'warning')}")
    return 1 if errors or (strict and found) else 0


def _check(file: Path, net: str | None, settings: dict[str, str]) -> list[Diagnostic]:
    from graphdl.language import load_source
    from graphdl.language.expansion.expander import check

    try:
        source = load_source(file)
    except ModelError as error:
        return list(error.diagnostics)
    stages = _Stages()
    found = check(source, settings=settings, net=net, watcher=stages)
    inside = [d for d in found if d.span is None or d.span.source is source]
    inside = sorted([*inside, *stages.complaints], key=lambda d: d.span.start if d.span is not None else -1)
    return inside + [d for d in found if d.span is not None and d.span.source is not source]


class _Stages(Watcher):
    """Checks the optimizers, schedules, data sets and augmentations of train sections."""

    def __init__(self) -> None:
        self.complaints: tuple[Diagnostic, ...] = ()

    def expanded(self, definition: Definition, graph: ModuleGraph) -> None:
        if not graph.stages:
            return
        from graphdl.training.stages import stages

        try:
            stages(graph)
        except ModelError as error:
            self.complaints += tuple(each for each in error.diagnostics if each not in self.complaints)


def _annotation(diagnostic: Diagnostic) -> str:
    """An annotation that GitHub shows beside the code (a workflow command)."""
    place = diagnostic.to_json()
    where = ""
    if "file" in place:
        name = place["file"].encode("utf-8", "backslashreplace").decode()
        for sign in "%\r\n:,":
            name = name.replace(sign, f"%{ord(sign):02X}")
        where = f" file={name},line={place['line']},col={place['column']},title={diagnostic.code}"
        if place["end_line"] == place["line"]:
            where += f",endColumn={place['end_column']}"
    from graphdl.rendering import printable_lines

    text = printable_lines(diagnostic.message + (f"\nhelp: {diagnostic.help}" if diagnostic.help else ""))
    text = text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    return f"::{'error' if diagnostic.is_error else 'warning'}{where}::{text}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
