"""``graphdl view``: the page of a model or a run, the difference of two models, or a drawing for documents."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from graphdl.cli.options import FILE, FOLDER, device_option, model_options
from graphdl.cli.target import data_of, open_model
from graphdl.rendering import printable

if TYPE_CHECKING:
    from graphdl.model import Model
    from graphdl.training.run import RunFolder
    from graphdl.training.stages import Overrides

FORMATS = ("html", "svg", "dot", "mermaid", "json")


@click.command("view")
@click.argument("target", metavar="FILE | RUN", type=click.Path(path_type=Path))
@click.argument("other", metavar="[FILE | RUN]", type=click.Path(path_type=Path), required=False)
@click.option("-o", "output", type=FILE, metavar="OUT", help="Where to write; NET.html by default, - for stdout.")
@click.option("--format", "form", type=click.Choice(FORMATS), default="html", show_default=True, help="What to write.")
@click.option("--training", is_flag=True, help="Show the net as it is in training.")
@click.option("--measure", is_flag=True, help="Run a training step: its times, gradients, schedule and memory.")
@click.option("--batch", type=click.IntRange(1), metavar="N", help="Examples of the measured step.")
@click.option("--input", "picture", type=FILE, metavar="IMAGE", help="Show the feature maps of an input.")
@click.option("--units", metavar="MODULE", help="Show what excites the units of a module, such as c2, most.")
@click.option("--data", metavar="TEXT", help="The data to measure on, in place of the file's.")
@click.option("--data-root", type=FOLDER, metavar="DIR", help="The folder of data sets; else GRAPHDL_DATA or a cache.")
@click.option("--other-set", "other_settings", metavar="NAME=VALUE", multiple=True, help="As --set, for the second.")
@click.option("--follow", is_flag=True, help="Serve the page of a run on this machine alone, and follow its curves.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, metavar="N", help="The port to serve on.")
@click.option("--open/--no-open", "opens", default=None, help="Open the page; done by default from a terminal.")
@model_options
@device_option
def command(
    target: Path,
    other: Path | None,
    output: Path | None,
    form: str,
    training: bool,
    measure: bool,
    batch: int | None,
    picture: Path | None,
    units: str | None,
    data: str | None,
    data_root: Path | None,
    other_settings: tuple[str, ...],
    follow: bool,
    port: int,
    opens: bool | None,
    net: str | None,
    settings: dict[str, str],
    device: str | None,
) -> None:
    """Writes the interactive page of a model or a run: one file that needs no network and no server.

    With two models, the page shows their difference, side by side; the same file may be given twice, with --set for
    the first and --other-set for the second. A run's page has its curves and the filters that it learnt.
    """
    from graphdl.training.run import open_run
    from graphdl.view import bundles
    from graphdl.view.page import page

    if follow:
        if not target.is_dir() or other is not None or form != "html":
            raise click.UsageError("--follow shows the page of one run")
        from graphdl.model import Model
        from graphdl.view.server import follow_run

        run = open_run(target)
        follow_run(run, Model.of_run(run), port=port, opens=_opens(opens), report=click.echo)
        return
    model = open_model(target, net=net, settings=settings, device=device)
    if other is not None:
        if form != "html" or measure or picture or units:
            raise click.UsageError("the difference of two models is a page of its own, without measurements")
        second_net = net if other.is_file() else None
        second = open_model(other, net=second_net, settings=_settings(other_settings), device=device)
        title = f"{model.name} and {second.name}" if model.name != second.name else model.name
        bundle: dict[str, Any] = bundles.comparison(model.network.graph(training), second.network.graph(training))
        name = f"{model.name}-difference"
    else:
        title = name = model.name
        bundle = {"documents": [bundles.document_of(model, training=training)]}
        if target.is_dir():
            bundle |= bundles.of_run(target, model)
            title = f"{model.name}: {target.name}"
        if form == "html":
            folder = open_run(target) if target.is_dir() else None
            asked = _Asked(model, folder, *data_of(target, data, data_root))
            if measure:
                bundle |= asked.measurements(batch)
            pictures = bundle.setdefault("pictures", [])
            if picture is not None:
                pictures[:0] = asked.feature_maps(picture)
            if units is not None:
                pictures[:0] = asked.units(units)
    text = page(title, bundle) if form == "html" else _document(bundle["documents"][0], form)
    _write(text, output, f"{name}.{_ENDINGS[form]}", opens=_opens(opens) and form in ("html", "svg"))


_ENDINGS = {"html": "html", "svg": "svg", "dot": "dot", "mermaid": "mmd", "json": "json"}


@dataclass(frozen=True)
class _Asked:
    """The parts of a page that need a device and data."""

    model: Model
    folder: RunFolder | None
    overrides: Overrides
    root: Path | None
    origin: Path | None

    def measurements(self, batch: int | None) -> dict[str, Any]:
        from graphdl.view.measurements import measurements

        return measurements(self.model, batch, self.overrides, root=self.root, origin=self.origin)

    def feature_maps(self, path: Path) -> list[dict[str, Any]]:
        from graphdl.cli.reading import prepare
        from graphdl.view.pictures import feature_maps

        types = {name: value.type for name, value in self.model.module_graph.inputs.items()}
        return feature_maps(self.model, prepare([path], self.model, self.folder, types).arrays, path.name)

    def units(self, module: str) -> list[dict[str, Any]]:
        from graphdl.view.pictures import units

        return units(self.model, module, self.overrides, root=self.root, origin=self.origin)


def _document(document: dict[str, Any], form: str) -> str:
    from graphdl.view import texts

    if form == "json":
        return json.dumps(document, ensure_ascii=False, indent=1) + "\n"
    if form == "svg":
        from graphdl.view.drawing import svg

        return svg(document)
    return texts.dot(document) if form == "dot" else texts.mermaid(document)


def _write(text: str, output: Path | None, name: str, *, opens: bool) -> None:
    if output is not None and str(output) == "-":
        click.echo(text.encode("utf-8", "backslashreplace").decode(), nl=False)
        return
    path = output or Path(name)
    path.write_text(text, encoding="utf-8", errors="backslashreplace")
    click.echo(printable(str(path)))
    if opens:
        import webbrowser

        webbrowser.open(path.resolve().as_uri())


def _opens(wish: bool | None) -> bool:
    return sys.stdout.isatty() if wish is None else wish


def _settings(texts: tuple[str, ...]) -> dict[str, str]:
    settings = {}
    for text in texts:
        name, sign, value = text.partition("=")
        if not sign or not name.strip():
            raise click.UsageError(f"--other-set takes NAME=VALUE, not '{text}'")
        settings[name.strip()] = value.strip()
    return settings
