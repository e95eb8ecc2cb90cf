"""A run folder belongs to one process at a time, and what a killed one left is no obstacle."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from nets import DIGITS

import graphdl
from graphdl.diagnostics import ModelError
from graphdl.model import resume
from graphdl.source import Source
from graphdl.training import fit
from graphdl.training.claim import LOCK, claimed, fresh
from graphdl.training.run import create, open_run

SETTINGS = {"net": None, "set": {}, "overrides": {}}
SHORT = DIGITS + "train { data digits; epochs 1 }"
HOLDER = """
import sys, time
from pathlib import Path
from graphdl.training.claim import claimed
with claimed(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""
STARTER = """
import sys, time
from pathlib import Path
from graphdl.training.claim import fresh
time.sleep(max(0.0, float(sys.argv[2]) - time.time()))
print(fresh(Path(sys.argv[1])))
"""


def python(text, *words):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen(
        [sys.executable, "-c", text, *map(str, words)], env=environment, stdout=subprocess.PIPE, text=True
    )


def end(process):
    process.kill()
    process.wait()
    process.stdout.close()


@pytest.fixture
def holder(tmp_path):
    """A process that holds the folder ``run``."""
    process = python(HOLDER, tmp_path / "run")
    assert process.stdout.readline() == "held\n"
    yield process
    end(process)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished") / "run"
    graphdl.loads(SHORT).fit(out=folder)
    return folder


def test_a_held_folder_is_refused_with_the_number_of_its_process(tmp_path, holder):
    with pytest.raises(ModelError, match=f"is in use: process {holder.pid} trains there") as caught:
        graphdl.loads(SHORT).fit(out=tmp_path / "run")
    assert caught.value.diagnostics[0].code == "E0618"
    with pytest.raises(ModelError, match=f"process {holder.pid}"), claimed(tmp_path / "run"):
        pass


def test_a_running_run_is_not_resumed(tmp_path, finished):
    shutil.copytree(finished, tmp_path / "run")
    process = python(HOLDER, tmp_path / "run")
    assert process.stdout.readline() == "held\n"
    before = {file.name: file.read_bytes() for file in (tmp_path / "run").iterdir() if file.is_file()}
    try:
        with pytest.raises(ModelError, match=f"process {process.pid} trains there"):
            resume(tmp_path / "run", fit.TrainingOptions(epochs=2))
        assert before == {file.name: file.read_bytes() for file in (tmp_path / "run").iterdir() if file.is_file()}
        graphdl.load(tmp_path / "run")  # it may be read all the same
    finally:
        end(process)
    assert resume(tmp_path / "run", fit.TrainingOptions(epochs=2)).steps > 0


def test_a_killed_process_holds_nothing(tmp_path, holder):
    end(holder)
    assert (tmp_path / "run" / LOCK).exists()
    with claimed(tmp_path / "run"):
        assert (tmp_path / "run" / LOCK).read_text() == str(os.getpid())
    assert not (tmp_path / "run").exists()


def test_nothing_is_left_of_a_claim(tmp_path):
    (tmp_path / "run").mkdir()
    with claimed(tmp_path / "run"):
        (tmp_path / "run" / "kept").touch()
    assert [file.name for file in (tmp_path / "run").iterdir()] == ["kept"]


def test_runs_that_start_together_take_different_folders(tmp_path):
    start = time.time() + 2
    processes = [python(STARTER, tmp_path / "runs" / "net", start) for _ in range(4)]
    found = {process.communicate()[0].strip() for process in processes}
    assert found == {str(tmp_path / "runs" / name) for name in ("net", "net_2", "net_3", "net_4")}
    assert fresh(tmp_path / "runs" / "net").name == "net_5"


@pytest.fixture
def moments(tmp_path, monkeypatch):
    """Copies of a run folder from before each change that its making consists of: what a kill there leaves."""
    folder, taken, copying = tmp_path / "run", [], []

    def photographed(call):
        def change(*words, **named):
            if folder.exists() and not copying:
                copying.append(True)
                taken.append(shutil.copytree(folder, tmp_path / f"moment_{len(taken)}"))
                copying.clear()
            return call(*words, **named)

        return change

    with monkeypatch.context() as patch:
        for name in ("replace", "rmdir", "mkdir", "unlink", "fsync"):
            patch.setattr(os, name, photographed(getattr(os, name)))
        with claimed(folder):
            create(folder, [Source("a.net", "net a { }", "/p/a.net")], SETTINGS)
    return taken


def test_a_run_that_was_killed_while_it_was_made_starts_anew(moments):
    assert len(moments) > 8
    half_made = [moment for moment in moments if not (moment / "settings.json").exists()]
    assert len(half_made) > 5
    for moment in half_made:
        if any(moment.iterdir()):
            with pytest.raises(ModelError, match="was ended before it began") as caught:
                resume(moment, fit.TrainingOptions())
            assert "--out" in caught.value.diagnostics[0].help
        with claimed(moment):
            create(moment, [Source("b.net", "net b { }", "/p/b.net")], SETTINGS)
        assert {file.name for file in moment.rglob("*")} == {"model", "b.net", "settings.json"}
    for moment in moments:
        assert open_run(moment).main.is_file()


def test_a_users_own_folder_named_model_is_not_taken_for_ours(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mine.net").touch()
    with pytest.raises(ModelError, match="is no empty folder"):
        graphdl.loads(SHORT).fit(out=tmp_path)
    assert [file.name for file in tmp_path.rglob("*")] == ["model", "mine.net"]


def test_what_a_kill_left_half_written_is_cleaned(tmp_path, finished):
    shutil.copytree(finished, tmp_path / "run")
    for name in (".last.safetensors.abc.part", ".settings.json.x.part"):
        (tmp_path / "run" / name).write_bytes(b"half")
    resume(tmp_path / "run", fit.TrainingOptions())
    assert not list((tmp_path / "run").glob(".*"))


def test_a_training_that_fails_at_its_first_step_leaves_nothing(tmp_path):
    (tmp_path / "run").mkdir()
    with pytest.raises(ModelError, match="E07"):
        graphdl.loads(DIGITS + "train { data iris }").fit(out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_run_imports_only_what_lies_in_it(tmp_path, finished):
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "secret.net").write_text("block secret(): x -> y { y = x }\n")
    for path in ("../../secret.net", str(tmp_path / "secret.net"), "link.net"):
        shutil.rmtree(tmp_path / "run", ignore_errors=True)
        shutil.copytree(finished, tmp_path / "run")
        main = open_run(tmp_path / "run").main
        (main.parent / "link.net").symlink_to(tmp_path / "secret.net")
        main.write_text(f'import "{path}"\n' + main.read_text())
        with pytest.raises(ModelError, match="E0212"):
            graphdl.load(tmp_path / "run")


def test_the_model_file_of_a_run_lies_in_it(tmp_path, finished):
    shutil.copytree(finished, tmp_path / "run")
    Path(tmp_path / "outside.net").write_text(SHORT)
    main = open_run(tmp_path / "run").main
    main.unlink()
    main.symlink_to(tmp_path / "outside.net")
    with pytest.raises(ModelError, match="does not lie in model/"):
        graphdl.load(tmp_path / "run")
