"""What ends a process from outside: signals save first, and nobody reads a traceback."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

import graphdl
from graphdl.cli import main
from graphdl.training import checkpoint

NET = """net mlp(h = 8) {
    input image: [1, 8, 8]
    input label: class(10)
    logits = image -> flatten -> linear(h) -> relu -> linear(10)
    loss cross_entropy(logits, label)
}
train { data digits; epochs 100000; optimizer sgd(0.1) }
"""
SLOW_SAVING = """
import os, sys, time
from graphdl.cli import main
from graphdl.training import run

save, written = run.save, []
def slowly(path, found):
    if (path.parent / "stop").exists():
        print("saving", flush=True)
        written.append(path)
        os.fsync = lambda descriptor: time.sleep(60)
    save(path, found)
run.save = slowly
sys.argv[0] = "graphdl"
main()
"""
SLOW_COMPILING = """
import sys, time
from graphdl.cli import main
from graphdl.training import loop

def slow(*words, **settings):
    print("compiling", flush=True)
    time.sleep(60)
loop.trainer_of = slow
sys.argv[0] = "graphdl"
main()
"""


@pytest.fixture
def net(tmp_path):
    path = tmp_path / "mlp.net"
    path.write_text(NET)
    return path


def start(*words, code="from graphdl.cli import main; import sys; sys.argv[0] = 'graphdl'; main()"):
    environment = {**os.environ, "PYTHONPATH": str(Path(graphdl.__file__).parent.parent)}
    words = [sys.executable, "-c", code, *map(str, words)]
    return subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def until(condition):
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def ended(process):
    """The exit code and the errors of a process that is about to end."""
    _, errors = process.communicate(timeout=40)
    return process.returncode, errors


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_other_signals_save_as_ctrl_c_does(net, tmp_path, number, code):
    run = tmp_path / "run"
    process = start("train", net, "--out", run)
    until(lambda: (run / "best.safetensors").exists())
    process.send_signal(number)
    assert ended(process) == (code, "\n")
    position = checkpoint.load(run / "last.safetensors").metadata["position"]
    assert not list(run.glob(".*"))
    found = CliRunner().invoke(main, ["train", "--resume", str(run), "--epochs", str(position["epoch"] + 1)])
    assert found.exit_code == 0, found.output


@pytest.mark.slow
def test_a_signal_that_the_shell_ignores_stays_ignored(net, tmp_path):
    run = tmp_path / "run"
    code = "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN); from graphdl.cli import main; main()"
    process = start("train", net, "--out", run, code=code)
    until(lambda: (run / "best.safetensors").exists())
    process.send_signal(signal.SIGHUP)
    before = (run / "metrics.jsonl").stat().st_size
    until(lambda: (run / "metrics.jsonl").stat().st_size > before)
    process.send_signal(signal.SIGTERM)
    assert ended(process)[0] == 143


def test_a_second_ctrl_c_while_saving_leaves_the_checkpoint_before(net, tmp_path):
    run = tmp_path / "run"
    process = start("train", net, "--out", run, code=SLOW_SAVING)
    until(lambda: (run / "best.safetensors").exists())
    (run / "stop").touch()
    process.send_signal(signal.SIGINT)
    while process.stdout.readline() not in ("saving\n", ""):
        pass
    process.send_signal(signal.SIGINT)
    code, errors = ended(process)
    assert (code, errors.strip()) == (130, "")
    (run / "stop").unlink()
    assert checkpoint.load(run / "last.safetensors").metadata["position"]["epoch"] >= 0
    assert not list(run.glob(".*"))
    assert CliRunner().invoke(main, ["train", "--resume", str(run), "--epochs", "1"]).exit_code == 0


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_before_the_first_step_ends_at_once_and_leaves_nothing(net, tmp_path, number, code):
    process = start("train", net, "--out", tmp_path / "run", code=SLOW_COMPILING)
    while process.stdout.readline() != "compiling\n":
        assert process.poll() is None
    began = time.monotonic()
    process.send_signal(number)
    assert ended(process) == (code, "\n")
    assert time.monotonic() - began < 30
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("words", [["--help"], ["explain", "E0615"], ["show"], ["check"], ["fmt", "--diff"], ["view"]])
def test_a_reader_that_has_gone_is_no_fault(net, words):
    if words[0] in ("show", "check", "fmt"):
        net.write_text(NET.replace("input image", "input  image"))
        words = [*words, str(net)]
    if words[0] == "view":
        words = ["view", str(net), "-o", "-"]
    process = start(*words)
    process.stdout.close()
    errors = process.stderr.read()
    process.stderr.close()
    assert (process.wait(timeout=60), errors) == (141, "")


def test_a_training_whose_reader_has_gone_keeps_what_it_has(net, tmp_path):
    process = start("train", net, "--out", tmp_path / "run")
    assert process.stdout.readline().startswith("mlp: ")
    process.stdout.close()
    errors = process.stderr.read()
    process.stderr.close()
    assert (process.wait(timeout=60), errors) == (141, "")
    assert checkpoint.load(tmp_path / "run/last.safetensors").metadata["position"]["epoch"] == 1
    assert not list((tmp_path / "run").glob(".*"))


def test_closed_and_full_streams_are_no_fault_of_the_program(net):
    environment = {**os.environ, "PYTHONPATH": str(Path(graphdl.__file__).parent.parent)}
    cases = [(">&-", 0, ""), (">&- 2>&-", 0, "")]
    if Path("/dev/full").exists():
        cases.append((">/dev/full", 3, "error: [Errno 28] No space left on device\n"))
    for redirection, code, errors in cases:
        words = ["sh", "-c", f'"$0" -m graphdl show "$1" {redirection}', sys.executable, str(net)]
        found = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
        assert (found.returncode, found.stderr) == (code, errors)
