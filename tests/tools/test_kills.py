"""The tool that kills a training: what it trains is equal to what was left alone, and it finds what is not."""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

import graphdl
from graphdl.training import checkpoint

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))

import kills

NET = (
    "net n { input x: [4]; input label: class(3)\n loss cross_entropy(x -> linear(3), label) }\n"
    "train { data iris; epochs 2 }\n"
)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kills") / "run"
    graphdl.loads(NET).fit(out=folder)
    return folder


def test_differences_are_found(run, tmp_path, capsys):
    other = shutil.copytree(run, tmp_path / "other")
    assert kills.is_equal(other, run)
    found = checkpoint.load(other / "best.safetensors")
    name, values = next(iter(found.tensors.items()))
    changed = {**found.tensors, name: np.nextafter(values, np.float32(9))}
    checkpoint.save(other / "best.safetensors", checkpoint.Checkpoint(changed, found.metadata))
    lines = (other / "metrics.jsonl").read_text().splitlines()
    lines[1] = json.dumps({**json.loads(lines[1]), "step": 7})
    (other / "metrics.jsonl").write_text("\n".join(lines) + "\n")
    assert not kills.is_equal(other, run)
    printed = capsys.readouterr().out
    assert f"differs: best.safetensors: {name}" in printed
    assert "differs: metrics.jsonl: line 2" in printed


@pytest.mark.slow
def test_a_killed_lenet_comes_to_the_same(data_root, capfd):
    assert kills.main(["--kills", "4", "--examples", "8000"]) == 0
    assert "equal: all weights" in capfd.readouterr().out
