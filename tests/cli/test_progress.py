"""What is shown while a model is trained."""

import io
from types import SimpleNamespace

import pytest
from rich.console import Console
from rich.progress import Progress, TextColumn

from graphdl.cli import progress
from graphdl.diagnostics import Diagnostic
from graphdl.training.loop import Status

RECORD = {
    "kind": "epoch", "stage": "fine", "epoch": 3, "step": 30, "loss": 0.25, "losses": {}, "metrics": {"accuracy": 0.5},
    "lr": 0.1, "examples_per_second": 1234.4, "seconds": 61.25, "best": True,
    "held_out": {"split": "test", "loss": 0.5, "losses": {}, "metrics": {"accuracy": 0.75}},
}  # fmt: skip


def test_an_epoch_is_a_line():
    assert progress.line(RECORD) == (
        "fine 3  loss 0.2500  accuracy 0.5000 | test loss 0.5000  accuracy 0.7500 *  1,234 examples/s  61.2 s"
    )
    alone = {**RECORD, "best": False, "loss": None}
    del alone["held_out"]
    assert progress.line(alone) == "fine 3  accuracy 0.5000    1,234 examples/s  61.2 s"


def test_elsewhere_than_on_a_terminal_there_are_only_lines(capsys):
    with progress.progress() as observer:
        observer.record({**RECORD, "kind": "steps"})
        observer.record(RECORD)
    assert capsys.readouterr().out == progress.line(RECORD) + "\n"


def test_what_is_odd_goes_to_standard_error(capsys):
    with progress.progress() as observer:
        observer.warn(Diagnostic("W0701", "batches of 64 do not divide the 120 examples"))
    assert capsys.readouterr() == ("", "warning[W0701]: batches of 64 do not divide the 120 examples\n")


@pytest.mark.parametrize("refresh", [0.0, 1e9])
def test_a_bar_shows_the_running_epoch(monkeypatch, refresh):
    monkeypatch.setattr(progress, "_REFRESH_SECONDS", refresh)
    out = io.StringIO()
    columns = (TextColumn("{task.description}"), TextColumn("{task.fields[values]}"))
    with Progress(*columns, console=Console(file=out, force_terminal=True, width=120)) as bar:
        observer = progress._Bar(bar)
        for step in (1, 2):
            observer.advance(
                Status(SimpleNamespace(name="fine"), 1, 4, step, 10, step, 40, 0.5, {"accuracy": 0.75}, 1000.0)
            )
        observer.record(RECORD)
        tasks = list(bar.tasks)
    assert progress.line(RECORD) in out.getvalue()
    if refresh:  # the clock of a machine that has just started may be younger than this
        assert len(tasks) <= 1
    else:
        (task,) = tasks
        assert (task.completed, task.total, task.description) == (2, 40, "fine 1/4")
        assert task.fields["values"] == "loss 0.5000  accuracy 0.7500  1,000 examples/s"
