"""``graphdl import``: an ONNX model as a file of the language."""

from __future__ import annotations

from pathlib import Path

import click

from graphdl.cli.options import FILE


def _sizes(ctx: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, int]:
    found = {}
    for value in values:
        name, _, length = value.rpartition("=")
        if not name or not length.isdecimal() or int(length) < 1:
            raise click.BadParameter(f"'{value}' is not name=length", ctx, parameter)
        found[name] = int(length)
    return found


@click.command("import")
@click.argument("model", metavar="MODEL.onnx", type=FILE)
@click.option("-o", "--out", type=FILE, metavar="FILE.net", help="The file to write; by default beside the model.")
@click.option(
    "--size", "sizes", metavar="NAME=LENGTH", multiple=True, callback=_sizes,
    help="The length of a dimension that the model leaves open.",
)  # fmt: skip
@click.option(
    "--constants", type=FILE, metavar="FILE.npz", help="Values of inputs that decide the form of the net, by name."
)
def command(model: Path, out: Path | None, sizes: dict[str, int], constants: Path | None) -> None:
    """Writes the net of an ONNX model as FILE.net, and its weights beside it as FILE.safetensors.

    `graphdl predict FILE.net INPUT --weights FILE.safetensors` runs it. Needs the package onnx: pip install
    "graphdl[onnx]".
    """
    import numpy as np

    from graphdl.model import write_imported
    from graphdl.onnx import read_file

    known = dict(np.load(constants)) if constants is not None else {}
    target = out or model.with_suffix(".net")
    imported = read_file(model, constants=known, sizes=sizes)
    weights = write_imported(imported, target)
    lines = imported.text.count("\n")
    total = sum(array.size for array in imported.weights.values())
    click.echo(f"{target}: {lines} lines; {weights}: {total:,} numbers")
    if not imported.batched:
        click.echo("no dimension is the batch: an example has all dimensions of the model")
