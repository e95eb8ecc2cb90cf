"""``graphdl generate``: what a trained net writes, translates, hears or sounds like."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from graphdl import strict_json
from graphdl.cli.options import FILE, FOLDER, device_option, json_option
from graphdl.diagnostics import Diagnostic, ModelError
from graphdl.rendering import printable, printable_lines

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from graphdl.generating import Trained

_LENGTH = 500
"""The default number of tokens that are written."""


def _assigned(ctx: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    pairs = [value.partition("=") for value in values]
    for name, sign, _ in pairs:
        if not sign or not name:
            raise click.BadParameter(f"'{name}' is not name=value", ctx, parameter)
    return {name: value for name, _, value in pairs}


@click.command("generate")
@click.argument("run", metavar="RUN", type=FOLDER)
@click.argument("recordings", metavar="[RECORDING…]", nargs=-1, type=FILE)
@click.option("--start", metavar="TEXT", help="The text to go on with, or to translate.")
@click.option("--length", type=click.IntRange(1), metavar="N", help="Tokens, or samples of sound; 500 by default.")
@click.option(
    "--temperature", type=click.FloatRange(0), metavar="T", default=1.0,
    help="1 draws as the net says, less draws likelier tokens, 0 takes the likeliest.",
)  # fmt: skip
@click.option("--top-k", type=click.IntRange(1), metavar="K", help="Draw from the K likeliest tokens alone.")
@click.option(
    "--top-p", type=click.FloatRange(0, 1, min_open=True), metavar="P", default=1.0,
    help="Draw from the likeliest tokens alone whose probabilities make up P.",
)  # fmt: skip
@click.option("--seed", type=click.IntRange(0), metavar="N", default=0, help="The same seed draws the same text.")
@click.option("--beam", type=click.IntRange(1), metavar="N", default=1, help="Search N at a time; 1 is greedy.")
@click.option(
    "--given", metavar="NAME=VALUE", multiple=True, callback=_assigned,
    help="The value of another input of the net: a number, or the name of a class.",
)  # fmt: skip
@click.option("--attention", type=FILE, metavar="FILE", help="Write a translation's attention, as an .npy file.")
@click.option("--out", type=FILE, metavar="FILE", help="The WAV file of a sound.")
@click.option("--net", metavar="NAME", help="Another net of the run's file.")
@device_option
@json_option
def command(
    run: Path,
    recordings: tuple[Path, ...],
    start: str | None,
    length: int | None,
    temperature: float,
    top_k: int | None,
    top_p: float,
    seed: int,
    beam: int,
    given: Mapping[str, str],
    attention: Path | None,
    out: Path | None,
    net: str | None,
    device: str | None,
    as_json: bool,
) -> None:
    """Runs a trained net free.

    A run that was trained on a text goes on with the text after --start. One that was trained on pairs translates it.
    One that was trained by the loss ctc writes the words of each RECORDING. One that was trained on recordings with
    levels makes a sound, in the file after --out.
    """
    from graphdl.generating import Composer, Trained, Transcriber, Translator, Writer

    trained = Trained.of_run(run, device, net)
    drawing = _Drawing(temperature, top_k, top_p, seed)
    if Transcriber.loss_of(trained) is not None:
        _transcribe(trained, recordings, beam, as_json)
        return
    if recordings:
        raise click.UsageError(f"'{run}' hears nothing: leave '{recordings[0]}' out")
    if Writer.sequence_of(trained) is not None:
        _write(trained, _required(start, "--start", "the text to go on with"), length or _LENGTH, drawing, as_json)
    elif Translator.sequence_of(trained) is not None:
        _translate(trained, _required(start, "--start", "the text to translate"), length, beam, attention, as_json)
    elif Composer.sequence_of(trained) is not None:
        path = _required(out, "--out", "the WAV file of the sound")
        _compose(trained, path, _required(length, "--length", "the number of samples"), drawing, given)
    else:
        raise ModelError(
            Diagnostic(
                "E0626",
                f"{run} generates nothing",
                help="a run generates if it was trained on 'text', on 'pairs', on 'audio' with 'levels', or by the "
                "loss 'ctc'",
            )
        )


@dataclass(frozen=True)
class _Drawing:
    """How tokens are drawn."""

    temperature: float
    top_k: int | None
    top_p: float
    seed: int


Value = TypeVar("Value")


def _required(value: Value | None, option: str, meaning: str) -> Value:
    if value is None:
        raise click.UsageError(f"{option} is missing: {meaning}")
    return value


def _write(trained: Trained, start: str, length: int, by: _Drawing, as_json: bool) -> None:
    """The start and what follows it, each piece as soon as it is there."""
    from graphdl.generating import Writer

    pieces = Writer(trained).write(
        start, length, temperature=by.temperature, top_k=by.top_k, top_p=by.top_p, seed=by.seed
    )
    if as_json:
        click.echo(strict_json.encode({"start": start, "text": "".join(pieces), "seed": by.seed}, indent=2))
        return
    click.echo(printable_lines(start), nl=False)
    for piece in pieces:
        click.echo(printable_lines(piece), nl=False)
        sys.stdout.flush()
    click.echo()


def _translate(
    trained: Trained, text: str, length: int | None, beams: int, attention: Path | None, as_json: bool
) -> None:
    """The best translation; with several beams all of them, with their scores."""
    from graphdl.generating import Translator

    found = Translator(trained).translate(text, beams=beams, length=length)
    if attention is not None:
        if found[0].attention is None:
            raise click.UsageError("--attention: the net has no output [target length, source length]")
        _save(attention, found[0].attention)
    if as_json:
        rows = [
            {"text": each.text, "tokens": each.tokens, "log_probability": each.log_probability, "score": each.score}
            for each in found
        ]
        click.echo(strict_json.encode(rows, indent=2))
        return
    for each in found:
        click.echo(f"{each.score:8.4f}  {printable(each.text)}" if beams > 1 else printable(each.text))


def _save(path: Path, array: NDArray[Any]) -> None:
    import numpy as np

    with path.open("wb") as file:
        np.save(file, array)


def _transcribe(trained: Trained, recordings: Sequence[Path], beams: int, as_json: bool) -> None:
    """The best text of each recording; with several beams all of them, with their logarithms."""
    from graphdl.generating import Transcriber

    if not recordings:
        raise click.UsageError("RECORDING is missing: the WAV or FLAC files to hear")
    transcriber = Transcriber(trained)
    found = {str(path): transcriber.transcribe(path, beams=beams) for path in recordings}
    if as_json:
        rows = [
            {"input": name, "texts": [{"text": t.text, "log_probability": t.log_probability} for t in texts]}
            for name, texts in found.items()
        ]
        click.echo(strict_json.encode(rows, indent=2))
        return
    width = max(map(len, map(printable, found)))
    for name, texts in found.items():
        shown = [f"{printable(t.text)} {t.log_probability:.4f}" if beams > 1 else printable(t.text) for t in texts]
        click.echo(f"{printable(name):<{width}}  {'; '.join(shown)}")


def _compose(trained: Trained, path: Path, length: int, by: _Drawing, given: Mapping[str, str]) -> None:
    """A WAV file."""
    import numpy as np

    from graphdl.generating import Composer, write_wav

    composer = Composer(trained)
    samples = composer.compose(
        length, temperature=by.temperature, top_k=by.top_k, top_p=by.top_p, seed=by.seed, given=given
    )
    write_wav(path, np.fromiter(samples, np.float64), composer.rate)
    click.echo(f"{path}: {length} samples, {length / composer.rate:.2f} s")
