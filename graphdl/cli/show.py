"""``graphdl show``: the table of a model."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from pathlib import Path

import click

from graphdl.cli.options import FILE, json_option, model_options

_NARROWEST = 80


@click.command("show")
@click.argument("file", type=FILE)
@click.option("--depth", type=click.IntRange(1), metavar="N", help="How deep to look into blocks; all by default.")
@click.option("--training", is_flag=True, help="The net as it is in training.")
@model_options
@json_option
def command(
    file: Path, depth: int | None, training: bool, net: str | None, settings: dict[str, str], as_json: bool
) -> None:
    """Prints the table of a model: module, output shape, parameters, FLOPs and activation memory for one example."""
    from graphdl.language import expand, load_source
    from graphdl.rendering import printable_lines
    from graphdl.summary import summarize, table

    summary = summarize(expand(load_source(file), net=net, settings=settings, training=training))
    if as_json:
        click.echo(json.dumps(asdict(summary), indent=2))
    else:
        width = max(_NARROWEST, shutil.get_terminal_size((120, 24)).columns)
        click.echo(printable_lines(table(summary, width=width, depth=depth)))
