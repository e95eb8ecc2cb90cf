"""``graphdl eval``: losses and metrics on held-out data."""

from __future__ import annotations

from pathlib import Path

import click

from graphdl import strict_json
from graphdl.cli.options import FILE, data_options, device_option, json_option, model_options


@click.command("eval")
@click.argument("target", metavar="RUN|FILE", type=click.Path(path_type=Path))
@click.option("--weights", type=FILE, metavar="W", help="A safetensors file; a run's best weights by default.")
@click.option("--split", default="test", show_default=True, help="The part of the data: train, validation or test.")
@click.option("--batch", type=click.IntRange(1), metavar="N", help="Examples at a time.")
@data_options
@model_options
@device_option
@json_option
def command(
    target: Path,
    weights: Path | None,
    split: str,
    batch: int | None,
    data: str | None,
    data_root: Path | None,
    download: bool,
    net: str | None,
    settings: dict[str, str],
    device: str | None,
    as_json: bool,
) -> None:
    """Measures a run, or the model of a file with --weights, on the test split of its data."""
    from graphdl.cli.progress import compiling
    from graphdl.cli.target import open_target
    from graphdl.training import fit

    model, folder = open_target(target, weights, net=net, settings=settings, device=device)
    request, origin = fit.TrainingOptions(batch=batch, data=data, data_root=data_root, download=download), None
    if folder is not None:
        request, origin = fit.remembered(folder, request)
    with compiling(model.network, quiet=as_json):
        found = fit.evaluate(model, request, split=split, origin=origin)
    values = {**found.losses, **found.metrics}
    if as_json:
        click.echo(strict_json.encode({"split": split, "examples": found.examples, **values}))
        return
    width = max(map(len, values))
    click.echo(f"{found.examples:,} examples of the split '{split}'")
    for name, value in values.items():
        click.echo(f"  {name:<{width}}  {value:.6g}")
