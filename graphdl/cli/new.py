"""``graphdl new``: a file to start from, as a copy of a shipped model."""

from __future__ import annotations

from pathlib import Path

import click

from graphdl.cli.options import FOLDER, use_color
from graphdl.suggest import did_you_mean, enumerated


@click.command("new")
@click.argument("name", metavar="NAME")
@click.option("--from", "model", required=True, metavar="MODEL", help="A shipped model, such as lenet.")
@click.option(
    "--data", metavar="DATA",
    help='Your data: a file, a folder, or what follows the word data: digits, \'csv("a.csv", label = "kind")\'.',
)  # fmt: skip
@click.option("--data-root", type=FOLDER, metavar="DIR", help="The folder of data sets; else GRAPHDL_DATA or a cache.")
@click.option("--download", is_flag=True, help="Download official data sets that are missing.")
def command(name: str, model: str, data: str | None, data_root: Path | None, download: bool) -> int:
    """Writes NAME.net, a copy of a shipped model, with your data in its train sections.

    Numbers of classes and sizes become those of the data where the file names them. What remains to be changed is
    reported. A file that exists is never overwritten.
    """
    from graphdl.cli.starting import Start, fitted, imported, shipped
    from graphdl.language import load_source

    models = shipped()
    stem = Path(model).stem
    if stem not in models:
        hint = did_you_mean(stem, models) or f"the models are: {enumerated(models, len(models))}"
        raise click.BadParameter(f"there is no model '{model}'; {hint}", param_hint="--from")
    target = Path(name) if name.endswith(".net") else Path(f"{name}.net")
    copies = {target.parent / path.name: path.read_text("utf-8") for path in imported(models[stem])}
    for path in (target, *copies):
        if path.exists() and (path == target or path.read_text("utf-8") != copies[path]):
            raise click.UsageError(f"{path} exists, and is not overwritten")
    template = load_source(models[stem])
    target.parent.mkdir(parents=True, exist_ok=True)
    added = [path for path in copies if not path.exists()]
    for path in added:
        path.write_text(copies[path], "utf-8", newline="\n")
    start = Start(template.text)
    if data is not None:
        try:
            start = fitted(template, target, data, root=data_root, download=download)
        except BaseException:
            for path in added:
                path.unlink()
            raise
    target.write_text(start.text, "utf-8", newline="\n")
    click.echo("\n  ".join([f"{target}: {models[stem].parent.name}/{models[stem].name}", *start.changes]))
    if start.faults:
        from graphdl.rendering import render

        click.echo("this must still be changed:\n")
        click.echo("\n\n".join(render(fault, color=use_color()) for fault in start.faults))
        return 1
    return 0
