"""Names that people bring along from other languages and frameworks."""

from __future__ import annotations

import pytest
from expanding import source

from graphdl.language import check


@pytest.mark.parametrize(
    ("expression", "help"),
    [
        ("x -> linear(2, True)", "'true'"),
        ("x -> linear(2, bias = None)", "'none'"),
        ("x * sum([k for k in range(3)])", "'a..b'"),
        ("x -> dense(10)", "'linear'"),
        ("x -> nn.Linear(10)", "linear(10)"),
        ("x -> Conv2d(8, 3)", "'conv'"),
        ("x -> self.fc", "fc = linear(10)"),
    ],
)
def test_the_help_names_what_is_meant(expression: str, help: str) -> None:
    found = check(source(f"net n() {{\n    input x: [4]\n    output y = {expression}\n}}\n"))
    assert [d.code for d in found] == ["E0201"]
    assert help in (found[0].help or "")
