"""``graphdl train``: runs the stages of a file, or continues a run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from graphdl.cli.options import FILE, FOLDER, data_options, device_option, memory_option, model_options

if TYPE_CHECKING:
    from graphdl.training.loop import Observer


@click.command("train")
@click.argument("file", type=FILE, required=False)
@click.option("--out", type=FOLDER, metavar="RUN", help="The run's folder; runs/NET by default.")
@click.option("--resume", type=FOLDER, metavar="RUN", help="Continue the run in this folder.")
@click.option("--epochs", type=click.IntRange(1), metavar="N", help="Epochs of every stage.")
@click.option("--batch", type=click.IntRange(1), metavar="N", help="Examples of a step.")
@click.option("--seed", type=click.IntRange(0), metavar="N", help="Of initial weights, order and random draws.")
@click.option("--tensorboard", is_flag=True, help="Write event files for TensorBoard into the run's folder, too.")
@memory_option
@data_options
@model_options
@device_option
def command(
    file: Path | None,
    out: Path | None,
    resume: Path | None,
    epochs: int | None,
    batch: int | None,
    seed: int | None,
    tensorboard: bool,
    memory: int | None,
    data: str | None,
    data_root: Path | None,
    download: bool,
    net: str | None,
    settings: dict[str, str],
    device: str | None,
) -> None:
    """Trains the model of FILE by its train sections, in their order.

    The run's folder gets the model's files, the settings, the metrics of every epoch, curves.html, and the weights:
    best.safetensors and last.safetensors. With --resume a run goes on where its last.safetensors was written, to the
    same numbers as if it had never stopped. Ctrl-C saves before it stops.

    Where a train section leaves something out: adam(lr = 0.001), batch 32, epochs 10, seed 0.
    """
    if resume is not None and (out is not None or net is not None or settings or file is not None):
        raise click.UsageError("--resume takes the model and its settings from the run: leave FILE, --out, --net and "
                               "--set out")  # fmt: skip
    if resume is None and file is None:
        raise click.UsageError("name a FILE to train, or a run to continue: --resume RUN")

    from graphdl.cli.progress import progress
    from graphdl.rendering import printable
    from graphdl.training import fit
    from graphdl.training.claim import fresh
    from graphdl.training.run import BEST, CURVES, LAST

    request = fit.TrainingOptions(batch, epochs, seed, data, data_root, download, memory=memory)
    if resume is not None:
        from graphdl.model import resume as go_on

        folder = resume
        with progress() as shown, _observing(shown, tensorboard, folder) as observer:
            run = go_on(resume, request, device=device, observer=observer)
    else:
        from graphdl.language import load_source
        from graphdl.model import Model

        assert file is not None
        model = Model(load_source(file), net=net, seed=seed, device=device, settings=settings)
        count = sum(variable.type.size for variable in model.network.training.parameters.values())
        device_name = model.network.device.info.name
        folder = out or fresh(Path("runs") / model.name)
        click.echo(f"{model.name}: {count:,} parameters, on {device_name}, in {printable(str(folder))}")
        with progress() as shown, _observing(shown, tensorboard, folder) as observer:
            run = fit.fit(model, request, out=folder, observer=observer)
    if not run.steps:
        click.echo("nothing was left to train")
    found = [printable(f"{folder}/{name}") for name in (BEST, LAST) if (folder / name).is_file()]
    click.echo(f"weights: {', '.join(found)}; curves: {printable(f'{folder}/{CURVES}')}")


@contextmanager
def _observing(shown: Observer, tensorboard: bool, folder: Path) -> Iterator[Observer]:
    """The observer that shows progress and, on request, writes event files."""
    if not tensorboard:
        yield shown
        return
    from graphdl.training.run import METRICS, TENSORBOARD, open_run
    from graphdl.training.tensorboard import EventFiles

    before = open_run(folder).records if (folder / METRICS).is_file() else []
    files = EventFiles(folder / TENSORBOARD, shown, before)
    try:
        yield files
    finally:
        files.close()
