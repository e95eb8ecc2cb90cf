"""``graphdl fmt``: in place, checked, shown, and from standard input."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from graphdl.cli import main

ROUGH = "net t(n=3){\n  input x:[n]   # the input\n  y=x->linear( 2 )\n\n\n\n  output y }\n"
STYLED = "net t(n = 3) {\n    input x: [n]   # the input\n    y = x -> linear(2)\n\n    output y\n}\n"


@pytest.fixture
def rough(tmp_path: Path) -> Path:
    path = tmp_path / "rough.net"
    path.write_text(ROUGH)
    path.chmod(0o640)
    return path


def run(*arguments: str, given: str | None = None) -> tuple[int, str]:
    result = CliRunner().invoke(main, ["fmt", *arguments], input=given)
    return result.exit_code, result.output


def test_a_file_is_changed_in_place_and_only_once(rough: Path) -> None:
    code, output = run(str(rough))
    assert code == 0
    assert "changed" in output
    assert rough.read_text().split() == STYLED.split()
    assert rough.stat().st_mode & 0o777 == 0o640
    first = rough.read_text()
    assert run(str(rough)) == (0, "")
    assert rough.read_text() == first
    assert os.listdir(rough.parent) == ["rough.net"]


def test_check_changes_nothing(rough: Path) -> None:
    code, output = run("--check", str(rough))
    assert code == 1
    assert "would change" in output
    assert rough.read_text() == ROUGH
    run(str(rough))
    assert run("--check", str(rough)) == (0, "")


def test_diff_shows_both(rough: Path) -> None:
    code, output = run("--diff", str(rough))
    assert code == 1
    assert "-  y=x->linear( 2 )" in output
    assert "+    y = x -> linear(2)" in output
    assert rough.read_text() == ROUGH


def test_standard_input() -> None:
    code, output = run("-", given=ROUGH)
    assert code == 0
    assert output.split() == STYLED.split()


def test_a_faulty_file_stays_and_the_others_are_done(rough: Path, tmp_path: Path) -> None:
    faulty = tmp_path / "faulty.net"
    faulty.write_text("net t {\n    input x [3]\n}\n")
    code, output = run(str(faulty), str(rough))
    assert code == 1
    assert "faulty.net:2" in output
    assert faulty.read_text() == "net t {\n    input x [3]\n}\n"
    assert rough.read_text() != ROUGH


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    code, output = run(str(tmp_path / "none.net"))
    assert code == 1
    assert "none.net" in output
