"""``graphdl tune``: measures which forms of the kernels are the fastest on this device, and keeps them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from graphdl.cli.options import FILE, device_option, model_options

if TYPE_CHECKING:
    from graphdl.runtime.tuning import Found, Task

_WIDTH = 80
_BUDGET = 60.0


@click.command("tune")
@click.argument("file", type=FILE)
@click.option("--budget", type=click.FloatRange(0), default=_BUDGET, metavar="SECONDS", help="60 by default.")
@click.option("--inference", is_flag=True, help="Tune the prediction, not a training step.")
@click.option("--batch", type=click.IntRange(1), metavar="N", help="Examples at once; the train section's by default.")
@model_options
@device_option
def command(
    file: Path,
    budget: float,
    inference: bool,
    batch: int | None,
    net: str | None,
    settings: dict[str, str],
    device: str | None,
) -> None:
    """Measures the forms of the hand-written kernels that a training step launches, those that take the most time
    first, and keeps the fastest ones that compute rightly. Every later run on this device is compiled with them.

    A search that the budget or Ctrl-C has ended goes on where it was when the command is given again.
    """
    from graphdl.cli.progress import compiling
    from graphdl.cli.target import open_model
    from graphdl.rendering import printable_lines
    from graphdl.runtime.tuned import own_path
    from graphdl.training.samples import sample
    from graphdl.training.stages import Overrides
    from graphdl.training.tuning import tune

    model = open_model(file, net=net, settings=settings, device=device)
    training = not inference and bool(model.network.training.losses)
    stage = model.stages(Overrides(batch=batch))[0].first if training else None
    count = stage.batch if stage is not None else batch or 1
    arrays = sample(model.network, count, known=model.known).arrays
    info = model.network.device.info
    what = "a training step" if training else "a prediction"
    click.echo(printable_lines(f"{model.name}: {what} of {count} on {info.name}"))
    progress = _Progress()
    try:
        with compiling(model.network):
            found = tune(model.network, stage, arrays, budget, progress.report)
    except KeyboardInterrupt:
        progress.clear()
        click.echo(printable_lines(f"what was measured is kept: {own_path(info)}"), err=True)
        raise
    left = sum(not each.entry.complete for each in found.found) + len(found.tasks) - len(found.found)
    click.echo(f"{len(found.tasks)} kernels with several forms take {found.share:.0%} of the kernels' time")
    if found.tasks:
        times = f"{found.before * 1e3:.3f} ms"
        if found.after != found.before:
            times += f" before, {found.after * 1e3:.3f} ms now ({found.before / found.after:.2f}×)"
        click.echo(f"a step: {times}")
        click.echo(printable_lines(f"kept in {own_path(info)}"))
    if left:
        click.echo(f"{left} of them are not done: the same command goes on with them")


class _Progress:
    """Shows a line for each finished kernel and, on a terminal, a last line with the kernel that is being measured."""

    def __init__(self) -> None:
        self._live = sys.stdout.isatty()

    def report(self, tasks: Sequence[Task], task: Task, found: Found | None, tried: int) -> None:
        number = f"{tasks.index(task) + 1}/{len(tasks)}"
        if found is None:
            if self._live:
                click.echo(f"\r\x1b[2K{number} {_short(task, 40)}  {tried} forms", nl=False)
            return
        self.clear()
        refused = f", {found.refused} refused" if found.refused else ""
        gain = f"{found.gain:.2f}×" if found.entry.chosen != found.entry.predicted else "as predicted"
        done = "" if found.entry.complete else ", not done"
        facts = f"{gain}  {found.tried} forms{refused}{done}"
        click.echo(f"{number:>7} {_short(task, _WIDTH - 10 - len(facts))}  {facts}")

    def clear(self) -> None:
        """Removes the last line."""
        if self._live:
            click.echo("\r\x1b[2K", nl=False)


def _short(task: Task, width: int) -> str:
    """A kernel and its problem in at most ``width`` columns."""
    text = f"{task.family.name} {_sizes(task)}"
    return text if len(text) <= width else text[: width - 1] + "…"


def _sizes(task: Task) -> str:
    """The values of a problem's fields. A bool is shown as its field's name if it is true, and left out otherwise."""
    values = {name: getattr(task.problem, name) for name in getattr(task.problem, "__dataclass_fields__", {})}
    words = [
        name if value is True else str(value).replace(" ", "") for name, value in values.items() if value is not False
    ]
    return " ".join(words)
