"""The line that says how many kernels are compiled: on a terminal alone, and gone when all are."""

import os
import re
import sys
import threading

import pytest

from graphdl.cli import main, progress
from graphdl.runtime import ahead

FILE = """
net mlp(h = 8) {
    input image: [1, 8, 8]
    input label: class(10)
    logits = image -> flatten -> linear(h) -> batchnorm -> relu -> linear(10)
    output probability = softmax(logits)
    loss cross_entropy(logits, label)
}
train {
    data digits
    batch 32
    epochs 1
}
"""


def run(*words):
    with pytest.raises(SystemExit) as end:
        main.main([str(word) for word in words])
    assert end.value.code == 0


@pytest.fixture
def terminal(device, monkeypatch, tmp_path):
    """Calls the command line in a terminal, with kernels that are not known as compiled. Returns what it shows."""
    if not device.info.compiles_at_launch:
        pytest.skip("needs a driver that compiles one kernel at a time")
    monkeypatch.setenv("GRAPHDL_DEVICE", str(device.info.index))
    monkeypatch.setattr(ahead, "_LEAST", 1)
    monkeypatch.setattr(ahead, "_MOST", 1)  # this process is enough
    monkeypatch.setattr(ahead, "is_compiled", lambda *_: False)
    (tmp_path / "mlp.net").write_text(FILE)

    def call(*words):
        ours, theirs = os.openpty()
        shown = bytearray()

        def read():
            try:
                while piece := os.read(ours, 4096):
                    shown.extend(piece)
            except OSError:  # the other side is closed
                return

        reader = threading.Thread(target=read)
        reader.start()
        with open(theirs, "w") as file, monkeypatch.context() as patched:
            patched.setattr(sys, "stdout", file)
            run(*words)
        reader.join()
        os.close(ours)
        return shown.decode()

    return call


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(progress, "_PATIENCE_SECONDS", 0.0)
    monkeypatch.setattr(progress, "_REFRESH_SECONDS", 0.0)


def test_a_terminal_shows_the_kernels_and_forgets_them(terminal, impatient, tmp_path):
    shown = terminal("profile", tmp_path / "mlp.net", "--inference", "--steps", "1")
    counts = [(int(done), int(total)) for done, total in re.findall(r"compiling: (\d+) of (\d+) kernels", shown)]
    assert counts == [(k, len(counts)) for k in range(len(counts))]
    assert counts
    *_, last = shown.split("compiling: ")
    assert re.match(r"\d+ of \d+ kernels\r\x1b\[2Kmlp: a prediction", last)


def test_training_shows_them_in_its_bar(terminal, impatient, tmp_path):
    shown = terminal("train", tmp_path / "mlp.net", "--out", tmp_path / "run")
    assert re.search(r"compiling .*\d+/\d+", shown)
    assert "curves" in shown.rpartition("compiling")[2]


def test_json_has_no_line(terminal, impatient, tmp_path):
    assert "compiling" not in terminal("profile", tmp_path / "mlp.net", "--inference", "--steps", "1", "--json")


def test_a_short_compilation_has_no_line(terminal, tmp_path):
    assert "compiling" not in terminal("profile", tmp_path / "mlp.net", "--inference", "--steps", "1")


def test_a_pipe_gets_no_line(terminal, impatient, tmp_path, capsys):
    run("profile", tmp_path / "mlp.net", "--inference", "--steps", "1")
    found = capsys.readouterr()
    assert "mlp: a prediction" in found.out
    assert "compiling" not in found.out + found.err
