"""``graphdl picture``: a picture of a trained model, or of what it does with examples."""

from __future__ import annotations

from pathlib import Path

import click

from graphdl.cli.options import FILE, data_options, device_option, model_options
from graphdl.rendering import printable


@click.command("picture")
@click.argument("target", metavar="RUN|FILE", type=click.Path(path_type=Path))
@click.argument("what", metavar="WHAT")
@click.argument("names", metavar="[NAME…]", nargs=-1)
@click.option("-o", "output", type=FILE, metavar="OUT", help="The PNG file to write; WHAT.png by default.")
@click.option("--weights", type=FILE, metavar="W", help="A safetensors file; a run's best weights by default.")
@click.option("--input", "files", type=FILE, multiple=True, metavar="FILE", help="An example, read as by predict.")
@click.option("--split", default="test", show_default=True, help="The part of the data: train, validation or test.")
@click.option("--example", type=click.IntRange(0), default=0, metavar="N", help="The number of the first example.")
@click.option("--count", type=click.IntRange(1), metavar="N", help="How many examples.")
@data_options
@model_options
@device_option
def command(
    target: Path,
    what: str,
    names: tuple[str, ...],
    output: Path | None,
    weights: Path | None,
    files: tuple[Path, ...],
    split: str,
    example: int,
    count: int | None,
    data: str | None,
    data_root: Path | None,
    download: bool,
    net: str | None,
    settings: dict[str, str],
    device: str | None,
) -> None:
    """Writes a picture as a PNG file.

    WHAT is filters, maps, confusion, reconstructions, samples, surface, attention or spectrogram. NAME is a parameter,
    a module or an output; the first that fits by default. Examples are those of --input, or of the data.
    """
    from graphdl.cli.progress import compiling
    from graphdl.cli.reading import prepare
    from graphdl.cli.target import open_target
    from graphdl.training.fit import TrainingOptions, remembered
    from graphdl.view import plates

    plates.plate(what)
    model, folder = open_target(target, weights, net=net, settings=settings, device=device, takes_others=True)
    request, origin = TrainingOptions(data=data, data_root=data_root), None
    if folder is not None:
        request, origin = remembered(folder, request)
    with compiling(model.network):
        if files:
            types = {name: value.type for name, value in model.module_graph.inputs.items()}
            arrays = dict(prepare(files, model, folder, types).arrays)
        else:
            # A run's own data is no wish for other samples.
            named = data if what == "samples" else request.data
            arrays = plates.examples_for(
                model, what, named, split, example, count, root=request.data_root, origin=origin, download=download
            )
        picture = plates.draw(model, what, names, arrays)
    path = output or Path(f"{what}.png")
    picture.save(path, "PNG")
    click.echo(f"{printable(str(path))}: {picture.width} x {picture.height} pixels")
