"""The display of a training's progress, a bar on a terminal, else a line for each epoch; and of the compilation's."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from graphdl.cli.options import use_color
from graphdl.diagnostics import Diagnostic
from graphdl.rendering import render
from graphdl.training.loop import Observer, Status

if TYPE_CHECKING:
    from graphdl.training.network import Network

_REFRESH_SECONDS = 0.1
_PATIENCE_SECONDS = 1.0
"""The time that kernels are compiled without a word."""


class Compiling:
    """Decides when to show the progress of a compilation: after a second, and not too often."""

    def __init__(self) -> None:
        self._begin: float | None = None
        self._shown = 0.0

    def is_due(self, done: int, total: int) -> bool:
        """Whether to show this number of compiled kernels. The last one ends the compilation and is not shown."""
        now = time.monotonic()
        if done == total:
            self._begin = None
            return False
        if self._begin is None:
            self._begin = now
        if now - self._begin < _PATIENCE_SECONDS or now - self._shown < _REFRESH_SECONDS:
            return False
        self._shown = now
        return True


@contextmanager
def compiling(network: Network, *, quiet: bool = False) -> Iterator[None]:
    """Shows how many kernels of the network's programs are compiled, in the last line of a terminal."""
    if quiet or not sys.stdout.isatty():
        yield
        return
    state, shown = Compiling(), False

    def report(done: int, total: int) -> None:
        nonlocal shown
        if state.is_due(done, total):
            click.echo(f"\r\x1b[2Kcompiling: {done} of {total} kernels", nl=False)
            shown = True
        elif shown and done == total:
            clear()

    def clear() -> None:
        nonlocal shown
        if shown:
            click.echo("\r\x1b[2K", nl=False)
            shown = False

    try:
        with network.watched(report):
            yield
    finally:
        clear()


@contextmanager
def progress() -> Iterator[Observer]:
    """An observer that suits the kind of standard output."""
    if not sys.stdout.isatty():
        yield _Lines()
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[values]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(no_color=not use_color()), transient=True) as bar:
        yield _Bar(bar)


class _Shown(Observer):
    def warn(self, diagnostic: Diagnostic) -> None:
        click.echo(render(diagnostic, color=use_color(sys.stderr)), err=True)


class _Lines(_Shown):
    """Prints a line for each epoch."""

    def record(self, record: Mapping[str, Any]) -> None:
        if record["kind"] == "epoch":
            click.echo(line(record))


class _Bar(_Shown):
    """Shows a bar over the steps of the stage, with the averages of the current epoch."""

    def __init__(self, bar: Any) -> None:
        self._bar = bar
        self._tasks: dict[str, Any] = {}
        self._shown = 0.0
        self._compiling = Compiling()
        self._compilation: Any = None

    def compiling(self, done: int, total: int) -> None:
        if self._compiling.is_due(done, total):
            if self._compilation is None:
                self._compilation = self._bar.add_task("compiling", total=total, values="kernels")
            self._bar.update(self._compilation, completed=done, total=total)
        elif done == total and self._compilation is not None:
            self._bar.remove_task(self._compilation)
            self._compilation = None

    def advance(self, status: Status) -> None:
        now = time.monotonic()
        if now - self._shown < _REFRESH_SECONDS:
            return
        self._shown = now
        values = _values(status.loss, status.metrics) + f"  {status.examples_per_second:,.0f} examples/s"
        name = status.stage.name
        if name not in self._tasks:
            self._tasks[name] = self._bar.add_task("", total=status.total_steps, values="")
        self._bar.update(
            self._tasks[name],
            completed=status.step,
            description=f"{name} {status.epoch}/{status.epochs}",
            values=values,
        )

    def record(self, record: Mapping[str, Any]) -> None:
        if record["kind"] == "epoch":
            self._bar.console.print(line(record), highlight=False, markup=False)


def line(record: Mapping[str, Any]) -> str:
    """An epoch in a line: ``train 3  loss 0.0512  accuracy 0.984 | test loss 0.0488  accuracy 0.985 *  1,234/s``."""
    text = f"{record['stage']} {record['epoch']}  {_values(record['loss'], record['metrics'])}"
    if held_out := record.get("held_out"):
        text += f" | {held_out['split']} {_values(held_out['loss'], held_out['metrics'])}"
    best = " *" if record["best"] else "  "
    return f"{text}{best}  {record['examples_per_second']:,.0f} examples/s  {record['seconds']:.1f} s"


def _values(loss: float | None, metrics: Mapping[str, float | None]) -> str:
    values = ({} if loss is None else {"loss": loss}) | dict(metrics)
    return "  ".join(f"{name} {_number(value)}" for name, value in values.items())


def _number(value: float | None) -> str:
    """A number with four decimals. None, which a record has for a number that is not finite, is allowed."""
    if value is None:
        return "nan"
    return f"{value:.4f}" if abs(value) < 1e6 else f"{value:.4e}"
