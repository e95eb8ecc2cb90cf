"""``graphdl check``: every diagnostic of some files. Imports nothing heavy: it answers at once."""

from __future__ import annotations

import json
from pathlib import Path

import click

from graphdl.cli.options import model_options, use_color
from graphdl.diagnostics import Diagnostic, ModelError
from graphdl.source import Source


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
    from graphdl.language import check, load_source

    try:
        source = load_source(file)
    except ModelError as error:
        return list(error.diagnostics)
    found = check(source, settings=settings, net=net)
    if not any(diagnostic.is_error for diagnostic in found):
        found += _check_training(source, net, settings)
    return found


def _check_training(source: Source, net: str | None, settings: dict[str, str]) -> list[Diagnostic]:
    """What is wrong with the optimizers and schedules of a file that is without an error otherwise."""
    if "train" not in source.text:
        return []
    from graphdl.language import expand
    from graphdl.training.stages import stages

    try:
        graph = expand(source, net=net, settings=settings, training=True)
        if graph.stages:
            stages(graph)
    except ModelError as error:
        # E0214: a file of blocks alone has no net, and needs none.
        return [diagnostic for diagnostic in error.diagnostics if diagnostic.code != "E0214"]
    return []


def _annotation(diagnostic: Diagnostic) -> str:
    """A line that GitHub shows beside the code (a workflow command)."""
    place = diagnostic.to_json()
    where = ""
    if "file" in place:
        where = f" file={place['file']},line={place['line']},col={place['column']},title={diagnostic.code}"
        if place["end_line"] == place["line"]:
            where += f",endColumn={place['end_column']}"
    text = diagnostic.message + (f"\nhelp: {diagnostic.help}" if diagnostic.help else "")
    text = text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    return f"::{'error' if diagnostic.is_error else 'warning'}{where}::{text}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
