"""``graphdl predict``: the predictions of a trained model for images, arrays, tables, texts or recordings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from graphdl import strict_json
from graphdl.cli.options import FILE, device_option, json_option, model_options
from graphdl.data.reading import Reading
from graphdl.data.tokenizers import FileTokenizer
from graphdl.data.vocabulary import read_out
from graphdl.rendering import printable

_MOST_VALUES = 8
_MOST_CLASSES = 3


@click.command("predict")
@click.argument("target", metavar="RUN|FILE", type=click.Path(path_type=Path))
@click.argument("inputs", metavar="INPUT…", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--weights", type=FILE, metavar="W", help="A safetensors file; a run's best weights by default.")
@click.option("--batch", type=click.IntRange(1), metavar="N", help="Examples at a time.")
@model_options
@device_option
@json_option
def command(
    target: Path,
    inputs: tuple[Path, ...],
    weights: Path | None,
    batch: int | None,
    net: str | None,
    settings: dict[str, str],
    device: str | None,
    as_json: bool,
) -> None:
    """Predicts with a run, or with the model of a file and --weights.

    An INPUT is an image, an .npy file (examples first), an .npz file with an array for each input, or a .csv table. A
    run that was trained on texts or on recordings takes a text or a recording. A run treats them as its training data:
    the same size, the same normalization, the same vocabulary.
    """
    from graphdl.cli.progress import compiling
    from graphdl.cli.reading import prepare
    from graphdl.cli.target import open_target
    from graphdl.training.inference import predicted_inputs

    model, folder = open_target(target, weights, net=net, settings=settings, device=device, takes_others=True)
    found = prepare(inputs, model, folder, predicted_inputs(model.network))
    with compiling(model.network, quiet=as_json):
        outputs = model.run(found.arrays, batch=batch)
    if as_json:
        rows = [
            {"input": name, **{output: values[k].tolist() for output, values in outputs.items()}}
            for k, name in enumerate(found.names)
        ]
        click.echo(strict_json.encode(rows, indent=2))
        return
    classes = _class_names(folder.settings if folder is not None else {})
    tokenizers = _tokenizers(folder.settings if folder is not None else {})
    width = max(map(len, map(printable, found.names)))
    for k, name in enumerate(map(printable, found.names)):
        texts = [printable(f"{output} {_shown(values[k], classes, tokenizers)}") for output, values in outputs.items()]
        click.echo(f"{name:<{width}}  {'; '.join(texts)}")


def _class_names(settings: Mapping[str, Any]) -> Mapping[int, Sequence[str]]:
    """The names of classes by number, if the run's data has names."""
    return {len(names): names for names in settings.get("class_names", {}).values()}


def _tokenizers(settings: Mapping[str, Any]) -> Mapping[int, FileTokenizer]:
    """The tokenizers of the run's data, by the number of their tokens and further entries."""
    files = {}
    for known in settings.get("inputs", {}).values():
        writing = known.get("writing") or {}
        if writing.get("tokenizer"):
            files[len(settings["class_names"][writing["vocabulary"]])] = Path(writing["tokenizer"])
    return {count: FileTokenizer(Reading(), path) for count, path in files.items()}


def _shown(value: Any, classes: Mapping[int, Sequence[str]], tokenizers: Mapping[int, FileTokenizer]) -> str:
    """A value of one example: the likeliest classes of a distribution, the likeliest token of each of several, the
    first numbers of any other value.
    """
    if value.ndim == 0:
        return f"{value.item():.4g}"
    if value.ndim == 1 and len(value) > 1 and value.dtype.kind == "f" and _is_distribution(value):
        names = classes.get(len(value), [str(k) for k in range(len(value))])
        order = value.argsort(kind="stable")[::-1][:_MOST_CLASSES]
        return ", ".join(f"{names[k]} {value[k]:.1%}" for k in order)
    if value.ndim == 2 and value.dtype.kind == "f" and value.shape[1] in classes and _is_distribution(value):
        return f'"{read_out(value, classes[value.shape[1]], tokenizers.get(value.shape[1]))}"'
    flat = value.ravel()
    shown = " ".join(f"{number:.4g}" for number in flat[:_MOST_VALUES].tolist())
    return f"{list(value.shape)} {shown}" + (" …" if flat.size > _MOST_VALUES else "")


def _is_distribution(value: Any) -> bool:
    return bool((value >= 0).all() and (abs(value.sum(axis=-1) - 1) < 1e-3).all())
