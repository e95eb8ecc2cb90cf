"""Numbers that are not finite: JSON stays JSON, and no file is named that is not there."""

import json

import pytest
from click.testing import CliRunner

import graphdl
from graphdl.cli import main

NET = """net logarithm {
    input x: [4]
    input label: class(3)
    loss total = mean(log(x - OFFSET) + (x -> linear(4)))
    metric odd = log(mean(x) * 0 - 1)
    output p = log(x * 0 - 1)
}
train { data iris; minimize total; epochs 1; batch 40 }
"""


def call(*words):
    return CliRunner().invoke(main, [str(word) for word in words])


def decoded(text):
    def refuse(word):
        raise AssertionError(f"{word} is no JSON")

    return json.loads(text, parse_constant=refuse)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("odd")
    (path / "odd.net").write_text(NET.replace("OFFSET", "0"))
    (path / "table.csv").write_text("1,2,3,4\n")
    found = call("train", path / "odd.net", "--out", path / "run")
    assert found.exit_code == 0, found.output
    assert "odd nan" in found.stdout
    return path


def test_what_is_read_by_programs_is_json(folder):
    assert decoded((folder / "run/metrics.jsonl").read_text())["held_out"]["metrics"] == {"odd": None}
    assert decoded(call("eval", folder / "run", "--json").stdout)["odd"] is None
    assert decoded(call("predict", folder / "run", folder / "table.csv", "--json").stdout)[0]["p"] == [None] * 4
    assert "odd    nan" in call("eval", folder / "run").stdout


def test_the_page_of_such_a_run_is_written(folder, tmp_path):
    found = call("view", folder / "run", "-o", tmp_path / "page.html", "--no-open", "--measure")
    assert found.exit_code == 0, found.output
    assert "NaN" not in (tmp_path / "page.html").read_text().split("<script", 2)[1]


def test_a_run_that_failed_is_viewed_and_names_what_it_has(tmp_path):
    (tmp_path / "odd.net").write_text(NET.replace("OFFSET", "0.15"))
    found = call("train", tmp_path / "odd.net", "--out", tmp_path / "run")
    assert found.exit_code == 1
    assert "E0615" in found.stderr
    assert "best.safetensors" not in found.output
    assert call("view", tmp_path / "run", "-o", tmp_path / "page.html", "--no-open").exit_code == 0
    assert graphdl.load(tmp_path / "run").name == "logarithm"
    (tmp_path / "run" / "last.safetensors").unlink()
    assert "has no checkpoint yet" in call("eval", tmp_path / "run").stderr


def test_weights_that_are_there_are_named(folder):
    (folder / "run" / "best.safetensors").rename(folder / "run" / "kept.safetensors")
    line = call("train", "--resume", folder / "run").stdout.splitlines()[-1]
    (folder / "run" / "kept.safetensors").rename(folder / "run" / "best.safetensors")
    assert line == f"weights: {folder}/run/last.safetensors; curves: {folder}/run/curves.html"
