"""A run that was interrupted, or killed at any moment, goes on to the same numbers, bit for bit."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from nets import DIGITS, TWO_STAGES

import graphdl
from graphdl.model import resume
from graphdl.training import checkpoint, fit
from graphdl.training.loop import Observer
from graphdl.training.run import METRICS, open_run


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The folder of a run that was never stopped."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    graphdl.loads(TWO_STAGES).fit(out=folder)
    return folder


class StopAt(Observer):
    """Presses Ctrl-C when a stage has come to a step."""

    def __init__(self, stage, step):
        self.stage, self.step = stage, step

    def advance(self, status):
        if (status.stage.name, status.step) == (self.stage, self.step):
            os.kill(os.getpid(), signal.SIGINT)


def final(folder):
    return checkpoint.load(folder / "last.safetensors")


def assert_same(folder, whole):
    found, expected = final(folder), final(whole)
    assert found.tensors.keys() == expected.tensors.keys()
    for name, array in expected.tensors.items():
        np.testing.assert_array_equal(found.tensors[name], array, err_msg=name)
    position, reference = dict(found.metadata["position"]), dict(expected.metadata["position"])
    for each in (position, reference):
        each.pop("seconds")
    assert position == reference
    timing = ("seconds", "examples_per_second")
    strip = [[{k: v for k, v in r.items() if k not in timing} for r in open_run(f).records] for f in (folder, whole)]
    assert strip[0] == strip[1]
    best = [checkpoint.load(f / "best.safetensors").tensors for f in (folder, whole)]
    assert all(np.array_equal(best[0][name], best[1][name]) for name in best[1])


@pytest.mark.parametrize(("stage", "step"), [("warm", 1), ("warm", 30), ("warm", 44), ("fine", 1), ("fine", 70)])
def test_an_interrupted_run_goes_on_to_the_same_weights(tmp_path, whole, stage, step):
    folder = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        fit.fit(graphdl.loads(TWO_STAGES), fit.TrainingOptions(), out=folder, observer=StopAt(stage, step))
    position = final(folder).metadata["position"]
    assert position["stage"] == ("warm", "fine").index(stage)
    assert position["step"] >= step
    run = resume(folder, fit.TrainingOptions())
    assert run.steps > 0
    assert_same(folder, whole)


def test_a_run_may_be_interrupted_again_and_again(tmp_path, whole):
    folder = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        fit.fit(graphdl.loads(TWO_STAGES), fit.TrainingOptions(), out=folder, observer=StopAt("warm", 3))
    for stage, step in (("warm", 25), ("fine", 20), ("fine", 60), ("fine", 100)):
        with pytest.raises(KeyboardInterrupt):
            resume(folder, fit.TrainingOptions(), observer=StopAt(stage, step))
    resume(folder, fit.TrainingOptions())
    assert_same(folder, whole)


def test_the_interrupt_handlers_are_put_back(tmp_path):
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        fit.fit(graphdl.loads(TWO_STAGES), fit.TrainingOptions(), out=tmp_path / "run", observer=StopAt("warm", 1))
    assert signal.getsignal(signal.SIGINT) is before


def test_a_finished_run_has_nothing_left_and_may_be_prolonged(tmp_path, whole):
    folder = tmp_path / "run"
    model = graphdl.loads(TWO_STAGES)
    model.fit(out=folder)
    assert resume(folder, fit.TrainingOptions()).steps == 0
    assert_same(folder, whole)
    longer = resume(folder, fit.TrainingOptions(epochs=4))
    assert longer.steps == 44
    assert longer.epochs[-1]["epoch"] == 4


def test_saving_in_the_middle_of_epochs_changes_nothing(tmp_path, whole):
    folder = tmp_path / "run"
    fit.fit(graphdl.loads(TWO_STAGES), fit.TrainingOptions(save_seconds=0), out=folder)
    assert_same(folder, whole)


LONG = DIGITS + "train { data digits; batch 6; epochs 2; optimizer adam(0.001) }"
"""Epochs of 239 steps, so that there are lines of metrics within them."""


@pytest.fixture(scope="module")
def long_whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("long") / "run"
    graphdl.loads(LONG).fit(out=folder)
    assert [r["step"] for r in open_run(folder).records] == [100, 200, 239, 339, 439, 478]
    return folder


def test_the_lines_within_epochs_are_those_of_a_run_that_was_not_stopped(tmp_path, long_whole):
    folder = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        fit.fit(graphdl.loads(LONG), fit.TrainingOptions(), out=folder, observer=StopAt("train", 37))
    for step in (150, 196, 300, 470):
        with pytest.raises(KeyboardInterrupt):
            resume(folder, fit.TrainingOptions(), observer=StopAt("train", step))
    resume(folder, fit.TrainingOptions())
    assert_same(folder, long_whole)


def test_a_metric_that_is_not_finite_goes_through_a_resumption(tmp_path):
    text = LONG.replace("metric accuracy(logits, label)", "metric odd = log(mean(logits) * 0 - 1)")
    with pytest.raises(KeyboardInterrupt):
        fit.fit(graphdl.loads(text), fit.TrainingOptions(), out=tmp_path / "run", observer=StopAt("train", 37))
    run = resume(tmp_path / "run", fit.TrainingOptions())
    assert [record["metrics"]["odd"] for record in run.records] == [None] * 6
    assert "NaN" not in (tmp_path / "run" / METRICS).read_text()


def test_the_seed_alone_decides(tmp_path, whole):
    other = tmp_path / "other"
    graphdl.loads(TWO_STAGES, seed=1).fit(out=other)
    assert not np.array_equal(final(other).tensors["logits.linear.W"], final(whole).tensors["logits.linear.W"])


def test_a_changed_model_is_not_continued(tmp_path):
    folder = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        fit.fit(graphdl.loads(TWO_STAGES), fit.TrainingOptions(), out=folder, observer=StopAt("warm", 30))
    file = open_run(folder).main
    file.write_text(file.read_text().replace("h = 24", "h = 25"))
    with pytest.raises(graphdl.ModelError, match="was changed"):
        resume(folder, fit.TrainingOptions())


def stopped(folder, text=LONG, **settings):
    """A run that was interrupted after a few steps."""
    with pytest.raises(KeyboardInterrupt):
        fit.fit(graphdl.loads(text, **settings), fit.TrainingOptions(), out=folder, observer=StopAt("train", 20))
    return folder


def test_a_checkpoint_of_another_run_or_seed_is_not_continued(tmp_path):
    run, other, seeded = stopped(tmp_path / "run"), stopped(tmp_path / "other"), stopped(tmp_path / "seed", seed=1)
    for foreign in (other, seeded):
        shutil.copy(foreign / "last.safetensors", run / "last.safetensors")
        with pytest.raises(graphdl.ModelError, match=r"E0618: .* belongs to another run"):
            resume(run, fit.TrainingOptions())
        with pytest.raises(graphdl.ModelError, match=r"E0618: .* belongs to another run"):
            graphdl.load(run)
    settings = json.loads((seeded / "settings.json").read_text())
    (seeded / "settings.json").write_text(json.dumps({**settings, "seed": 2}))
    with pytest.raises(graphdl.ModelError, match="was begun with seed 1, the run with 2"):
        resume(seeded, fit.TrainingOptions())


POSITIONS = [
    ("stage", -1), ("stage", 1), ("step", "x"), ("batch", 10**6), ("epoch", None), ("records", -3), ("records", 50),
    ("epoch_sums", {"values": [1.0], "count": 3}), ("interval_sums", {"values": [], "count": 3}), ("seconds", "long"),
    ("interval_start", 210), ("more", 1),
]  # fmt: skip


@pytest.mark.parametrize(("entry", "value"), POSITIONS, ids=[f"{entry}={value}" for entry, value in POSITIONS])
def test_a_position_that_is_none_is_refused(tmp_path, halfway, entry, value):
    run = shutil.copytree(halfway, tmp_path / "run")
    found = final(run)
    position = {**found.metadata["position"], entry: value}
    metadata = {**found.metadata, "position": position}
    checkpoint.save(run / "last.safetensors", checkpoint.Checkpoint(found.tensors, metadata))
    with pytest.raises(graphdl.ModelError, match=r"E0616: .*how far the run has come|E0618: .*has lost lines"):
        resume(run, fit.TrainingOptions())


@pytest.fixture(scope="module")
def halfway(tmp_path_factory):
    return stopped(tmp_path_factory.mktemp("halfway") / "run")


def test_a_checkpoint_without_the_optimizers_variables_is_refused(tmp_path, halfway):
    run = shutil.copytree(halfway, tmp_path / "run")
    found = final(run)
    slot = next(name for name in found.tensors if ":" in name)
    for tensors in (
        {name: array for name, array in found.tensors.items() if name != slot},
        {**found.tensors, slot: np.zeros(3, np.float32)},
        {**found.tensors, slot: np.zeros(found.tensors[slot].shape, np.int32)},
    ):
        checkpoint.save(run / "last.safetensors", checkpoint.Checkpoint(tensors, found.metadata))
        with pytest.raises(graphdl.ModelError, match=f"E0616: .*has no fitting '{slot}'"):
            resume(run, fit.TrainingOptions())


WORKER = """
import sys
from pathlib import Path
import graphdl
from graphdl.model import resume
from graphdl.training import fit
from nets import TWO_STAGES

folder = Path(sys.argv[1])
request = fit.TrainingOptions(save_seconds=0.0)
print("ready", flush=True)
if (folder / "settings.json").exists():
    resume(folder, request)
else:
    fit.fit(graphdl.loads(TWO_STAGES), request, out=folder)
"""


def run_and_kill(folder, after):
    """Starts or continues a run and kills it so many seconds later; whether it had ended by itself."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    worker = subprocess.Popen(
        [sys.executable, "-c", WORKER, str(folder)], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert worker.stdout.readline() == b"ready\n"
    try:
        _, errors = worker.communicate(timeout=after)
    except subprocess.TimeoutExpired:
        worker.kill()
        _, errors = worker.communicate()
        return False
    assert worker.returncode == 0, errors.decode()
    return True


def killed_at_random(folder, seed, kills):
    chance = random.Random(seed)
    for _ in range(kills):
        if run_and_kill(folder, chance.uniform(0.2, 1.6)):
            return
    deadline = time.monotonic() + 120
    assert run_and_kill(folder, deadline - time.monotonic())


@pytest.mark.parametrize("seed", range(2))
def test_a_killed_run_goes_on_to_the_same_weights(tmp_path, whole, seed):
    killed_at_random(tmp_path / "run", seed, kills=3)
    assert_same(tmp_path / "run", whole)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 12))
def test_a_run_killed_many_times_goes_on_to_the_same_weights(tmp_path, whole, seed):
    killed_at_random(tmp_path / "run", seed, kills=8)
    assert_same(tmp_path / "run", whole)
    assert (tmp_path / "run" / METRICS).read_text().count("\n") == len(open_run(whole).records)
