"""The examples of CONTRIBUTING.md are complete: applied to a copy of the repository, what they add works."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "CONTRIBUTING.md"

_BLOCK = re.compile(r"^```(?:python|c|diff) (new|file)=(\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def apply_diff(text: str, diff: str) -> str:
    """The text with the lines that begin with ``+`` after those that begin with a blank."""
    lines = diff.splitlines(keepends=True)
    context = "".join(line[1:] for line in lines if line.startswith(" "))
    assert text.count(context) == 1, f"the example's context is not there once:\n{context}"
    return text.replace(context, "".join(line[1:] for line in lines))


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository with the examples."""
    root = tmp_path_factory.mktemp("contributed") / "graphdl"
    root.mkdir()
    for name in ("graphdl", "grammar", "models", "opencl", "tests", "tools"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", root)
    for action, path, text in _BLOCK.findall(PAGE.read_text("utf-8")):
        file = root / path
        if action == "new":
            assert not file.exists(), f"{path} is there already"
            file.write_text(text, "utf-8")
        else:
            file.write_text(apply_diff(file.read_text("utf-8"), text), "utf-8")
    return root


def run(copy: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(copy)}
    return subprocess.run(
        [sys.executable, "-m", *words], cwd=copy, env=environment, capture_output=True, text=True, check=False
    )


def test_the_examples_pass_their_tests(copy: Path) -> None:
    tests = [
        "tests/operators/test_primitives.py",
        "tests/training/test_optimizers.py",
        "tests/data/test_spirals.py",
        "tests/cli/test_count.py",
    ]
    chosen = "squareplus or row_dot or adamax or spirals or count"
    outcome = run(copy, "pytest", "-v", "-n", "0", "-p", "no:cacheprovider", "-k", chosen, *tests)
    assert outcome.returncode == 0, outcome.stdout
    for name in ("squareplus", "row_dot", "adamax", "spirals", "count"):
        assert re.search(rf"{name}.* PASSED", outcome.stdout), name


def test_the_examples_are_clean(copy: Path) -> None:
    for command in ("check", "format --check"):
        outcome = run(copy, "ruff", *command.split(), ".")
        assert outcome.returncode == 0, outcome.stdout


def test_a_diff_is_applied_where_its_context_stands() -> None:
    assert apply_diff("a\nb\nc\n", " b\n+new\n") == "a\nb\nnew\nc\n"
    with pytest.raises(AssertionError, match="not there once"):
        apply_diff("b\nb\n", " b\n+new\n")
