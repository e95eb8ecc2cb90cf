"""``graphdl import``: a model of ONNX, Caffe or Darknet as a file of the language."""

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
@click.argument("model", metavar="MODEL", type=FILE)
@click.option("-o", "--out", type=FILE, metavar="FILE.net", help="The file to write; by default beside the model.")
@click.option(
    "--size", "sizes", metavar="NAME=LENGTH", multiple=True, callback=_sizes,
    help="The length of a dimension that the model leaves open.",
)  # fmt: skip
@click.option(
    "--constants", type=FILE, metavar="FILE.npz", help="Values of inputs that decide the form of the net, by name."
)
@click.option("--weights", type=FILE, metavar="FILE", help="The numbers of a Caffe or Darknet model.")
def command(model: Path, out: Path | None, sizes: dict[str, int], constants: Path | None, weights: Path | None) -> None:
    """Writes the net of a model as FILE.net, and its weights beside it as FILE.safetensors.

    MODEL is an ONNX file, the .prototxt file of a Caffe model or the .cfg file of a Darknet model. `graphdl predict
    FILE.net INPUT --weights FILE.safetensors` runs the net. ONNX and Caffe need a package: pip install
    "graphdl[onnx]" or "graphdl[caffe]".
    """
    import numpy as np

    from graphdl.model import write_imported

    target = out or model.with_suffix(".net")
    if model.suffix in (".cfg", ".prototxt"):
        from graphdl import caffe, darknet

        if sizes or constants is not None:
            raise click.UsageError("--size and --constants are for ONNX files")
        imported = (darknet if model.suffix == ".cfg" else caffe).read_files(model, weights)
    else:
        from graphdl.onnx import read_file

        if weights is not None:
            raise click.UsageError("--weights is for .cfg and .prototxt files")
        imported = read_file(model, constants=dict(np.load(constants)) if constants is not None else {}, sizes=sizes)
    written = write_imported(imported, target)
    lines = imported.text.count("\n")
    total = sum(array.size for array in imported.weights.values())
    click.echo(f"{target}: {lines} lines; {written}: {total:,} numbers")
    if not imported.batched:
        click.echo("no dimension is the batch: an example has all dimensions of the model")
