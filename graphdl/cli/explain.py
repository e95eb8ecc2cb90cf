"""``graphdl explain``: the explanation of a diagnostic's code, or the gradient of a parameter, path by path."""

from __future__ import annotations

from pathlib import Path

import click

from graphdl.cli.options import FOLDER, device_option, json_option, model_options


@click.command("explain")
@click.argument("subject", metavar="CODE | FILE | RUN")
@click.option("--parameter", metavar="PATH", help="The parameter whose gradient to explain, such as c1.W.")
@click.option("--paths", type=click.IntRange(1), default=8, show_default=True, metavar="N", help="Paths to list.")
@click.option("--batch", type=click.IntRange(1), default=8, show_default=True, metavar="N", help="Examples measured.")
@click.option("--data", metavar="TEXT", help="The data to measure on, in place of the file's.")
@click.option("--data-root", type=FOLDER, metavar="DIR", help="The folder of data sets; else GRAPHDL_DATA or a cache.")
@json_option
@model_options
@device_option
def command(
    subject: str,
    parameter: str | None,
    paths: int,
    batch: int,
    data: str | None,
    data_root: Path | None,
    as_json: bool,
    net: str | None,
    settings: dict[str, str],
    device: str | None,
) -> None:
    """Explains the CODE of a diagnostic, such as E0401: what it means, and how to mend it.

    With --parameter, explains the gradient of a parameter of FILE or RUN: the chain rule as a sum over all paths from
    the parameter to the loss, each measured on a batch, and the sum checked against the gradient that training
    computes. The batch is of the model's data, or made up where that is not at hand.
    """
    if parameter is not None:
        from graphdl.cli.explain_parameter import explain_parameter
        from graphdl.rendering import printable_lines

        told = explain_parameter(
            Path(subject), parameter, batch=batch, paths=paths, data=data, data_root=data_root, net=net,
            settings=settings, device=device, as_json=as_json,
        )  # fmt: skip
        click.echo(printable_lines(told))
        return
    from graphdl.language.codes import catalogue, explanation
    from graphdl.suggest import did_you_mean

    found = explanation(subject)
    if found is None:
        hint = did_you_mean(subject.upper(), list(catalogue()))
        if Path(subject).exists():
            hint = "to explain a file's gradients, name one with --parameter"
        raise click.BadParameter(f"there is no code '{subject}'" + (f"; {hint}" if hint else ""), param_hint="CODE")
    click.echo(f"{found.code}: {found.title}\n\n{found.text}")
