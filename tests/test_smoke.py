"""A bit of everything, in a minute from cold caches: run it before the rest (``pytest tests/test_smoke.py``)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from torch.nn import functional

import graphdl
from graphdl.cli import main
from graphdl.runtime import Device
from graphdl.training.run import open_run

DIGITS = """
net digits(width = 8) {
    input image: [1, 8, 8]
    input label: class(10)
    features = image -> conv(width, 3) as c -> relu -> maxpool(2)
    logits = features -> flatten -> linear(10) as l
    output probability = softmax(logits)
    loss cross_entropy(logits, label)
    metric accuracy(logits, label)
}
train { data digits; optimizer adam(lr = 0.01); batch 32; epochs 2 }
"""


def run(*words: str | Path) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "digits.net"
    path.write_text(DIGITS, "utf-8")
    return path


def test_the_language(file: Path) -> None:
    assert run("check", file).exit_code == 0
    assert run("fmt", "--diff", file).exit_code in (0, 1)
    assert "conv" in run("show", file).output
    file.write_text(DIGITS.replace("flatten", "flaten"), "utf-8")
    wrong = run("check", file)
    assert wrong.exit_code == 1
    assert "E0201" in wrong.output
    assert "did you mean" in wrong.output


def test_the_compiler(file: Path) -> None:
    listed = run("compile", file, "--emit", "opencl")
    assert listed.exit_code == 0
    assert "__kernel" in listed.output


def test_loss_and_gradients_are_those_of_pytorch(device: Device) -> None:
    model = graphdl.loads(DIGITS, seed=1)
    random = np.random.default_rng(0)
    image = random.normal(size=(16, 1, 8, 8)).astype(np.float32)
    label = random.integers(0, 10, 16).astype(np.int32)
    loss, gradients = model.gradients(image=image, label=label)
    w = {path: torch.tensor(value, requires_grad=True) for path, value in model.parameters.items()}
    x = functional.max_pool2d(functional.relu(functional.conv2d(torch.tensor(image), w["c.W"], w["c.b"])), 2)
    wanted = functional.cross_entropy(x.flatten(1) @ w["l.W"] + w["l.b"], torch.tensor(label).long())
    wanted.backward()
    assert loss == pytest.approx(wanted.item(), rel=1e-5)
    for path, gradient in gradients.items():
        np.testing.assert_allclose(gradient, w[path].grad.numpy(), rtol=1e-3, atol=1e-5, err_msg=path)


def test_a_run_from_training_to_prediction(file: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    trained = run("train", file, "--out", folder)
    assert trained.exit_code == 0, trained.output
    more = run("train", "--resume", folder, "--epochs", "3")
    assert more.exit_code == 0, more.output
    assert "train 3" in more.output
    measured = run("eval", folder)
    assert measured.exit_code == 0, measured.output
    np.save(tmp_path / "image.npy", np.zeros((1, 1, 8, 8), np.float32))
    told = run("predict", folder, tmp_path / "image.npy")
    assert told.exit_code == 0, told.output
    assert open_run(folder).records[-1]["metrics"]["accuracy"] > 0.8


def test_the_page(file: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    assert run("view", file, "-o", page).exit_code == 0
    assert "<html" in page.read_text("utf-8")
