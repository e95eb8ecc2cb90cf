"""``graphdl tune``: what it says, and that it goes on."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from graphdl.cli import main
from graphdl.runtime import tuned, tuning

NET = """net small() {
    input x: [70]
    input label: class(33)
    logits = x -> linear(33)
    output probability = softmax(logits)
    loss cross_entropy(logits, label)
}
"""


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.setattr(tuned, "cache_folder", lambda: tmp_path)
    monkeypatch.setattr(tuned, "shipped_tables", lambda info: [])
    monkeypatch.setattr(tuning, "PATIENCE", 1)
    tuned.choice_of.cache_clear()
    path = tmp_path / "small.net"
    path.write_text(NET)
    yield path
    tuned.choice_of.cache_clear()


def run(*words):
    return CliRunner().invoke(main, ["tune", *map(str, words)])


def test_a_search_that_the_budget_ends_goes_on(file, device):
    if device.target.kind != "cpu":
        pytest.skip("this device has one form of each kernel")
    first = run(file, "--budget", 0, "--inference", "--batch", 9)
    assert first.exit_code == 0, first.output
    assert first.output.startswith("small: a prediction of 9 on ")
    assert "1 of them are not done: the same command goes on with them" in first.output
    second = run(file, "--inference", "--batch", 9)
    assert second.exit_code == 0, second.output
    assert re.search(r"^    1/1 matmul 1 9 33 70  (\d\.\d\d×|as predicted)  \d forms$", second.output, re.MULTILINE)
    path = Path(re.search(r"kept in (.*\.json)", second.output)[1])
    assert path.parent == file.parent / "tuned"
    assert "not done" not in second.output
    changed = "as predicted" not in second.output
    times = r"[\d.]+ ms before, [\d.]+ ms now \([\d.]+×\)" if changed else r"[\d.]+ ms"
    assert re.search(rf"^a step: {times}$", second.output, re.MULTILINE)
    assert max(map(len, second.output.splitlines())) <= max(80, len(str(path)) + 10)
    before = path.read_bytes()
    third = run(file, "--inference", "--batch", 9, "--budget", 0)
    assert "not done" not in third.output
    assert path.read_bytes() == before


def test_ctrl_c_keeps_what_was_measured(file, device, monkeypatch):
    if device.target.kind != "cpu":
        pytest.skip("this device has one form of each kernel")

    def interrupted(self, tasks, task, found, tried):
        if tried == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr("graphdl.cli.tune._Progress.report", interrupted)
    outcome = run(file, "--inference", "--batch", 9)
    assert outcome.exit_code == 130
    assert "what was measured is kept: " in outcome.output
    (entry,) = tuned.own_table(device.info).entries
    assert len(entry.seconds) == 2
    assert not entry.complete


def test_a_folder_that_cannot_be_written_is_said(file, device):
    if device.target.kind != "cpu":
        pytest.skip("this device has one form of each kernel")
    (file.parent / "tuned").write_text("no folder")
    outcome = run(file, "--inference", "--batch", 9)
    assert outcome.exit_code == 3
    assert outcome.output.splitlines()[-1].startswith("error: ")
