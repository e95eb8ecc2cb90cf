"""``graphdl view`` and ``graphdl explain --parameter`` as a person calls them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from graphdl.cli import main

LENET = Path(__file__).parents[2] / "models" / "vision" / "lenet.net"
RESNET = Path(__file__).parents[2] / "models" / "vision" / "resnet20.net"
TINY = """
net tiny(units = 3) {
    input x: [4]
    input target: [units]
    y = tanh(x -> linear(units) as first) + x[:3]
    output y
    loss mse(y, target)
}
"""


def run(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def test_the_page_is_written_beside_the_person(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = run("view", LENET)
    assert (result.exit_code, result.stdout) == (0, "lenet.html\n")
    assert "<title>lenet</title>" in (tmp_path / "lenet.html").read_text("utf-8")


@pytest.mark.parametrize(
    ("form", "beginning"), [("dot", 'digraph "lenet" {'), ("mermaid", "flowchart TB"), ("svg", "<svg "), ("json", "{")]
)
def test_other_forms_go_where_they_are_sent(form, beginning):
    result = run("view", LENET, "--format", form, "-o", "-")
    assert result.exit_code == 0
    assert result.stdout.startswith(beginning)


def test_the_json_has_its_version():
    found = json.loads(run("view", LENET, "--format", "json", "-o", "-").stdout)
    assert (found["format"], found["name"]) == (1, "lenet")


def test_two_settings_of_one_file_are_compared(tmp_path):
    out = tmp_path / "difference.html"
    result = run("view", RESNET, RESNET, "--other-set", "depth=5", "-o", out)
    assert result.exit_code == 0
    assert "depth 3 → 5" in out.read_text("utf-8")


def test_words_that_make_no_sense_together_are_refused():
    assert run("view", LENET, "--follow").exit_code == 2
    assert run("view", RESNET, RESNET, "--measure").exit_code == 2
    assert run("view", RESNET, RESNET, "--other-set", "depth").exit_code == 2


def test_a_faulty_file_is_the_models_fault(tmp_path):
    (tmp_path / "bad.net").write_text("net bad { input x: [3]\n output y = x -> nothing(3)\n }")
    assert run("view", tmp_path / "bad.net").exit_code == 1


def test_explain_tells_the_sum_over_the_paths(tmp_path):
    (tmp_path / "tiny.net").write_text(TINY)
    result = run("explain", tmp_path / "tiny.net", "--parameter", "first.W", "--batch", 3)
    assert result.exit_code == 0
    assert "first.W reaches the loss along one path." in result.stdout
    assert "∂loss/∂first.W = ∂loss/∂mse · ∂mse/∂y · ∂y/∂tanh · ∂tanh/∂first · ∂first/∂first.W" in result.stdout
    assert "Measured on 3 made-up examples" in result.stdout


def test_explain_writes_json_for_programs(tmp_path):
    (tmp_path / "tiny.net").write_text(TINY)
    found = json.loads(run("explain", tmp_path / "tiny.net", "--parameter", "first.b", "--json").stdout)
    assert (found["count"], found["paths"][0]["loss"]) == (1, "mse")
    assert found["error"] < 1e-5


def test_a_gradient_that_is_no_number_is_null_in_json(tmp_path):
    (tmp_path / "nan.net").write_text("net n { input x: [3]\n h = x -> linear(4)\n loss mean(sqrt(0 - h * h - 1)) }")
    text = run("explain", tmp_path / "nan.net", "--parameter", "h.linear.W", "--json").stdout
    found = json.loads(text, parse_constant=pytest.fail)
    assert found["parameter"] == "h.linear.W"
    assert "null" in text


def test_explaining_a_file_without_a_parameter_says_what_is_missing():
    result = run("explain", LENET)
    assert result.exit_code == 2
    assert "--parameter" in result.stderr
