"""The folder of a run: complete by itself, never overwritten, and refused with words when it is damaged."""

import json
import re

import pytest
from nets import DIGITS, TWO_STAGES

import graphdl
from graphdl.diagnostics import ModelError
from graphdl.model import resume
from graphdl.training import fit
from graphdl.training.curves import page
from graphdl.training.run import open_run

BLOCKS = "block hidden(units): x -> y { y = x -> linear(units) -> relu }\n"
MAIN = """import "../parts/blocks.net"
net deep {
    input image: [1, 8, 8]
    input label: class(10)
    logits = image -> flatten -> hidden(16) -> linear(10)
    output probability = softmax(logits)
    loss cross_entropy(logits, label)
    metric accuracy(logits, label)
}
train { data digits; epochs 1; optimizer sgd(0.1) }
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run whose model and imports are gone."""
    root = tmp_path_factory.mktemp("project")
    (root / "pyproject.toml").touch()
    for name, text in (("models/deep.net", MAIN), ("parts/blocks.net", BLOCKS)):
        (root / name).parent.mkdir()
        (root / name).write_text(text)
    model = graphdl.load(root / "models/deep.net")
    model.fit(out=root / "run")
    measured = model.evaluate()
    for folder in ("models", "parts"):
        (root / folder).rename(root / f"{folder}_moved")
    return root / "run", measured


def test_it_holds_all_that_it_should(run):
    folder, _ = run
    files = {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()}
    expected = {"settings.json", "metrics.jsonl", "best.safetensors", "last.safetensors", "curves.html"}
    assert files == {*expected, "model/models/deep.net", "model/parts/blocks.net"}


def test_it_is_loaded_after_the_original_has_moved(run):
    folder, measured = run
    again = graphdl.load(folder)
    assert again.evaluate() == measured
    assert resume(folder, fit.TrainingOptions()).steps == 0


def test_the_settings_are_resolved(run):
    settings = json.loads((run[0] / "settings.json").read_text())
    (stage,) = settings["stages"]
    assert stage["optimizer"] == {
        "name": "sgd", "lr": 0.1, "momentum": 0.0, "nesterov": False, "weight_decay": 0.0,
        "lookahead": 0, "slow": 0.5,
    }  # fmt: skip
    assert (stage["batch"], stage["epochs"], stage["seed"], stage["data"]) == (32, 1, 0, "digits")


def test_a_line_of_metrics_for_each_epoch(run):
    (record,) = [json.loads(line) for line in (run[0] / "metrics.jsonl").read_text().splitlines()]
    assert record["kind"] == "epoch"
    assert record["step"] == 1438 // 32
    assert record["held_out"]["split"] == "test"
    assert record["held_out"]["metrics"]["accuracy"] == run[1].metrics["accuracy"]
    assert record["lr"] == 0.1


def test_within_long_epochs_there_are_lines_too(tmp_path):
    model = graphdl.loads(DIGITS + "train { data digits; batch 6; epochs 1 }")
    found = model.fit(out=tmp_path / "run")
    assert [(r["kind"], r["step"]) for r in found.records] == [("steps", 100), ("steps", 200), ("epoch", 239)]


def test_a_run_is_not_overwritten(run):
    with pytest.raises(ModelError, match="holds a run") as caught:
        graphdl.loads(DIGITS + "train { data digits }").fit(out=run[0])
    assert caught.value.diagnostics[0].code == "E0618"
    assert "--resume" in caught.value.diagnostics[0].help


def test_a_folder_with_something_in_it_is_not_used(tmp_path):
    (tmp_path / "thesis.tex").write_text("…")
    with pytest.raises(ModelError, match="is no empty folder"):
        graphdl.loads(DIGITS + "train { data digits }").fit(out=tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"main": "x"}', '{"main": 3, "net": 1, "set": 1, "overrides": {}}'])
def test_damaged_settings_are_refused_with_words(tmp_path, text):
    (tmp_path / "settings.json").write_text(text)
    with pytest.raises(ModelError, match="E0618"):
        open_run(tmp_path)


def test_what_is_no_run_is_refused_with_words(tmp_path):
    with pytest.raises(ModelError, match="is no run folder"):
        resume(tmp_path / "nothing", fit.TrainingOptions())
    with pytest.raises(ModelError, match="is no run folder"):
        graphdl.load(tmp_path)


def test_half_a_line_at_the_end_of_the_metrics_is_dropped(tmp_path):
    model = graphdl.loads(DIGITS + "train { data digits; epochs 1 }")
    model.fit(out=tmp_path / "run")
    with (tmp_path / "run" / "metrics.jsonl").open("a") as file:
        file.write('{"kind": "ep')
    assert len(open_run(tmp_path / "run").records) == 1


def test_the_curves_are_one_page_without_a_network(tmp_path):
    model = graphdl.loads(TWO_STAGES)
    model.fit(out=tmp_path / "a<b>&run")
    text = (tmp_path / "a<b>&run" / "curves.html").read_text()
    assert "a&lt;b&gt;&amp;run" in text
    assert not re.search(r"https?://|<link|<script src|@import", text)
    assert "prefers-color-scheme: dark" in text
    assert text.count("<figure>") == 3
    assert text.count("<polyline") == 2 + 2 + 1


def test_curves_of_nothing_and_of_one_point_are_drawn():
    assert "no epoch has ended yet" in page("empty", [])
    record = {
        "kind": "epoch", "stage": "a", "epoch": 1, "step": 0, "loss": None, "losses": {}, "metrics": {}, "lr": 0.1,
        "seconds": 0.0, "held_out": {"split": "test", "loss": 1.0, "losses": {}, "metrics": {"accuracy": float("nan")}},
    }  # fmt: skip
    assert page("one", [record]).count("<circle") == 2
