"""``graphdl export``: a model as a file of another format."""

from __future__ import annotations

from pathlib import Path

import click

from graphdl.cli.options import FILE, model_options


@click.command("export")
@click.argument("target", metavar="RUN|FILE", type=click.Path(path_type=Path))
@click.option("--to", "form", type=click.Choice(["onnx"]), default="onnx", show_default=True, help="The format.")
@click.option("-o", "--out", type=FILE, metavar="MODEL.onnx", help="The file to write; by default beside the model.")
@click.option(
    "--weights", type=FILE, metavar="W",
    help="A safetensors file; by default a run's best weights, and the initial weights of a file.",
)  # fmt: skip
@model_options
def command(
    target: Path, form: str, out: Path | None, weights: Path | None, net: str | None, settings: dict[str, str]
) -> None:
    """Writes the prediction of a run, or of the model of a file, with its weights.

    An ONNX file needs a package: pip install "graphdl[onnx]".
    """
    from graphdl.cli.target import open_model

    model = open_model(target, net=net, settings=settings, device=None)
    if weights is not None:
        model.load_weights(weights)
    path = out or target.with_name(f"{target.name if target.is_dir() else target.stem}.{form}")
    nodes = model.export_onnx(path)
    numbers = sum(variable.type.size for variable in model.network.variables.values())
    click.echo(f"{path}: {nodes} nodes; {numbers:,} numbers")
