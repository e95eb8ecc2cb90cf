"""A limit of memory changes the plan of a training step and none of its numbers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import graphdl
from graphdl.cli import main
from graphdl.diagnostics import DeviceError, ModelError
from graphdl.model import Model, resume
from graphdl.resources import resource
from graphdl.source import Source
from graphdl.summary import read_size
from graphdl.training import fit
from graphdl.training.profiling import profile_step

NET = """
net residual() {
    input image: [1, 8, 8]
    input label: class(10)
    x = image -> conv(8, 3, pad = 1)
    for _ in 0..3 {
        y = x -> batchnorm -> relu -> conv(8, 3, pad = 1) -> dropout(0.1)
        x = x + y
    }
    logits = x -> relu -> flatten -> linear(10)
    loss cross_entropy(logits, label)
}
train { data digits; optimizer sgd(lr = 0.05, momentum = 0.9); batch 64; epochs 2 }
"""
"""Random draws, running statistics, and variables that are written in place."""


def batch(model: Model, count: int, step: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(step)
    made = {}
    for name, value in model.network.training.inputs.items():
        size = (count, *value.type.shape)
        classes = value.type.classes
        made[name] = random.integers(0, classes, size) if classes else random.normal(size=size).astype(np.float32)
    return made


def trained(model: Model, count: int, memory: int | None, gradients: bool):  # type: ignore[no-untyped-def]
    """The program of a step, the losses of three steps, all variables after them, and the gradients of a batch if these
    are wanted.
    """
    trainer = model.trainer(batch=count, memory=memory)
    losses = [float(trainer.step(**batch(model, count, step))) for step in range(3)]
    variables = {name: model.network.read(name) for name in (*model.network.variables, *trainer.kept)}
    found = trainer.gradients(**batch(model, count, 3)).arrays if gradients else {}
    return trainer.program, losses, variables, found


def check(made, count: int, part: float, gradients: bool = True) -> None:  # type: ignore[no-untyped-def]
    program, *wanted = trained(made(), count, None, gradients)
    limit = int(part * program.peak_bytes)
    limited, *found = trained(made(), count, limit, gradients)
    assert limited.peak_bytes <= limit
    assert sum(launch.again for launch in limited.launches) > 2
    assert found[0] == wanted[0]
    for before, after in zip(wanted[1:], found[1:], strict=True):
        assert before.keys() == after.keys()
        assert all(np.array_equal(before[name], after[name]) for name in before)


def test_the_numbers_stay_the_same() -> None:
    check(lambda: graphdl.loads(NET), 64, 0.7, gradients=False)


@pytest.mark.parametrize(
    ("file", "count", "part", "settings"),
    [
        ("vision/lenet.net", 8, 0.96, {}),
        ("vision/resnet20.net", 4, 0.5, {}),
        ("vision/densenet.net", 4, 0.7, {"size": 48, "growth": 8, "depths": [3, 2]}),
        ("vision/inception_small.net", 8, 0.7, {}),
        ("sequence/transformer_lm.net", 4, 0.7, {"units": 32, "depth": 2, "length": 32}),
        ("sequence/phonemes.net", 8, 0.85, {"length": 24, "features": 16, "units": 32, "depth": 2}),
    ],
)
def test_the_numbers_of_a_model_stay_the_same(file: str, count: int, part: float, settings: dict[str, object]) -> None:
    check(lambda: graphdl.load(resource(f"models/{file}"), **settings), count, part, gradients="lenet" not in file)  # type: ignore[arg-type]


def test_half_of_resnet50s_memory() -> None:
    """No step is taken."""
    model = graphdl.load(resource("models/vision/resnet50.net"))  # type: ignore[arg-type]
    whole = model.compile(batch=8, training=True)
    half = model.compile(batch=8, training=True, memory=whole.peak_bytes // 2)
    assert half.peak_bytes <= whole.peak_bytes // 2
    assert half.flops < 1.1 * whole.flops


def test_a_limit_that_cannot_be_kept() -> None:
    model = graphdl.loads(NET)
    with pytest.raises(DeviceError, match=r"needs at least .* MiB of memory, the limit is 0.01 MiB") as caught:
        model.trainer(memory="10kB")
    assert caught.value.code == "E0803"
    least = str(caught.value).partition("at least ")[2].partition(" of memory")[0]
    assert np.isfinite(float(model.trainer(memory=least).step(**batch(model, 64, 0))))


@pytest.mark.parametrize(
    ("text", "nbytes"),
    [
        ("500MB", 500 * 10**6), ("1.5GiB", 3 * 2**29), ("1 kB", 1000), (" 2KiB ", 2048), ("7B", 7), ("1tb", 10**12),
        ("0.1MiB", 104857), ("1TIB", 2**40),
    ],
)  # fmt: skip
def test_sizes(text: str, nbytes: int) -> None:
    assert read_size(text) == nbytes


@pytest.mark.parametrize("text", ["", "500", "MB", "-1MB", "1e9B", "1.MB", "500 MBit", "1,5GB", "5iB", "١MB", "nan B"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(ModelError) as caught:
        read_size(text)
    (complaint,) = caught.value.diagnostics
    assert complaint.code == "E0624"
    assert complaint.message == f"'{text}' is no size of memory"


class Stop(fit.Observer):
    """Ends a run as Ctrl-C does, after some steps."""

    def __init__(self, step: int) -> None:
        self.step = step

    def advance(self, status) -> None:  # type: ignore[no-untyped-def]
        if status.step == self.step:
            raise KeyboardInterrupt


def test_a_run_is_continued_with_another_limit(tmp_path: Path) -> None:
    """The limit belongs to the machine, as the device does: it is given again, and the numbers do not depend on it."""

    def model() -> Model:
        return Model(Source("residual.net", NET))

    def final(folder: Path) -> bytes:
        return (folder / "last.safetensors").read_bytes()

    whole, run = tmp_path / "whole", tmp_path / "run"
    fit.fit(model(), fit.TrainingOptions(), out=whole)
    limit = int(0.85 * model().compile(batch=64, training=True).peak_bytes)
    with pytest.raises(KeyboardInterrupt):
        fit.fit(model(), fit.TrainingOptions(memory=limit), out=run, observer=Stop(9))
    assert "memory" not in json.dumps(json.loads((run / "settings.json").read_text()))
    resume(run, fit.TrainingOptions())
    from safetensors.numpy import load

    before, after = load(final(whole)), load(final(run))
    assert before.keys() == after.keys()
    assert all(np.array_equal(before[name], after[name]) for name in before)
    with pytest.raises(DeviceError, match="the limit is"):
        resume(run, fit.TrainingOptions(epochs=3, memory=1000))


def test_the_command_line(tmp_path: Path) -> None:
    file = tmp_path / "residual.net"
    file.write_text(NET, "utf-8")

    def run(*arguments: str) -> tuple[int, str, str]:
        outcome = CliRunner().invoke(main, [*arguments])
        return outcome.exit_code, outcome.stdout, outcome.stderr

    plan = graphdl.load(file).compile(batch=64, training=True).peak_bytes
    limit = f"{int(0.85 * plan)}B"
    _, text, _ = run("compile", str(file))
    assert "run again" not in text
    code, text, _ = run("compile", str(file), "--memory", limit)
    assert code == 0
    assert "run again" in text
    code, text, _ = run("compile", str(file), "--memory", limit, "--emit", "memory")
    assert "\nrun again: " in text
    assert "  again " in text
    code, _, error = run("compile", str(file), "--memory", "10KiB")
    assert code == 3
    assert error.startswith("error[E0803]: the program needs at least ")
    assert "the largest tensors:" in error
    code, _, error = run("train", str(file), "--memory", "much", "--out", str(tmp_path / "run"))
    assert code == 1
    assert error.startswith("error[E0624]: 'much' is no size of memory")
    assert not (tmp_path / "run").exists()
    code, text, error = run("train", str(file), "--memory", limit, "--epochs", "1", "--out", str(tmp_path / "run"))
    assert code == 0, error
    code, _, error = run("train", "--resume", str(tmp_path / "run"), "--epochs", "2", "--memory", "1kB")
    assert code == 3
    assert "E0803" in error


def test_a_profile_names_what_runs_again() -> None:
    model = graphdl.loads(NET)
    limit = int(0.7 * model.compile(batch=64, training=True).peak_bytes)
    profile = model.profile(runs=3, memory=limit)
    assert any(row.name.startswith("again ") for row in profile.kernels)
    found = profile_step(model.network, model.stages()[0], batch(model, 64, 0), 3)
    assert not any(row.name.startswith("again ") for row in found.kernels)
