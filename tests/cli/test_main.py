"""Exit codes, and what a person is told, of the command line as a whole."""

import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

import graphdl.cli
from graphdl.cli import main
from graphdl.diagnostics import DeviceError, Diagnostic, ModelError


@pytest.fixture
def run(monkeypatch):
    """Runs a verb that does what it is told to."""

    def run_verb(outcome):
        @click.command("outcome")
        def command():
            return outcome()

        module = type(sys)("graphdl.cli.outcome")
        module.command = command
        monkeypatch.setitem(sys.modules, "graphdl.cli.outcome", module)
        monkeypatch.setitem(graphdl.cli.VERBS, "outcome", "for the test")
        return CliRunner().invoke(main, ["outcome"])

    return run_verb


def raising(error):
    def outcome():
        raise error

    return outcome


def test_done_is_0(run):
    assert run(lambda: None).exit_code == 0


def test_a_verb_may_choose_its_code(run):
    assert run(lambda: click.get_current_context().exit(1)).exit_code == 1


def test_a_model_at_fault_is_1_and_shows_its_diagnostics(run):
    result = run(raising(ModelError(Diagnostic("E0204", "no module 'relo'"))))
    assert result.exit_code == 1
    assert "E0204" in result.stderr
    assert "no module 'relo'" in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize("words", [["nonsense"], ["devices", "--nonsense"]])
def test_wrong_words_are_2(words):
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 2
    assert "nonsense" in result.stderr


@pytest.mark.parametrize("error", [DeviceError("no device"), OSError("no device"), MemoryError("no device")])
def test_a_machine_at_fault_is_3(run, error):
    result = run(raising(error))
    assert (result.exit_code, result.stderr) == (3, "error: no device\n")


def test_a_device_at_fault_names_its_code(run):
    result = run(raising(DeviceError("too little memory", "E0801")))
    assert (result.exit_code, result.stderr) == (3, "error[E0801]: too little memory\n")


def test_interrupted_is_130(run):
    assert run(raising(KeyboardInterrupt())).exit_code == 130


def test_a_bug_is_not_hidden(run):
    assert isinstance(run(raising(ZeroDivisionError())).exception, ZeroDivisionError)


def test_every_verb_can_be_imported_and_helps():
    listing = CliRunner().invoke(main, ["--help"]).stdout
    for verb, words in graphdl.cli.VERBS.items():
        assert verb in listing
        assert words.split()[0] in listing
        assert CliRunner().invoke(main, [verb, "--help"]).exit_code == 0


def test_the_version():
    result = CliRunner().invoke(main, ["--version"])
    assert (result.exit_code, result.stdout) == (0, f"graphdl, version {graphdl.__version__}\n")


def test_help_imports_nothing_heavy():
    code = (
        "import sys\nfrom graphdl.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "print(sorted({'numpy', 'pyopencl', 'networkx', 'rich'} & set(sys.modules)))"
    )
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert finished.stdout.splitlines()[-1] == "[]"


def test_runs_as_a_module():
    finished = subprocess.run([sys.executable, "-m", "graphdl", "--help"], capture_output=True, text=True, check=True)
    assert finished.stdout.startswith("Usage: graphdl ")
