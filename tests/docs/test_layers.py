"""The picture of the packages in docs/compiler.md is that of the contracts which ``lint-imports`` checks."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_picture_of_the_packages_is_the_contract():
    page = (ROOT / "docs" / "compiler.md").read_text("utf-8")
    picture = re.search(r"^## The packages$.*?^```text\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert picture is not None
    drawn = [re.split(r" {2,}", line)[0] for line in picture[1].splitlines()]
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"]
    (layers,) = (contract["layers"] for contract in contracts if contract["type"] == "layers")
    assert drawn == layers


def test_the_contracts_have_no_exceptions():
    linter = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]
    assert {contract["type"] for contract in linter["contracts"]} == {"layers", "acyclic_siblings"}
    allowed = {"name", "type", "containers", "exhaustive", "layers", "ancestors"}
    assert all(set(contract) <= allowed for contract in linter["contracts"])
