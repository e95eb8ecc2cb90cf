"""The syntax tree as text."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from graphdl.diagnostics import ModelError
from graphdl.language.listing import tree
from graphdl.language.parser import parse
from graphdl.source import Source

MODELS = sorted((Path(__file__).parents[2] / "models").rglob("*.net"))


def lines(text: str) -> list[str]:
    return tree(Source("a.net", text)).splitlines()


def test_each_node_has_a_line_with_its_place() -> None:
    found = lines("let depth = 2\nnet n(k = 3) {\n    input x: [4]\n    output y = x * k\n}\n")
    assert found[0].startswith("Let name='depth'")
    assert found[0].endswith("# a.net:1:1")
    (net,) = (line for line in found if line.startswith("Net "))
    assert "name='n'" in net
    assert net.endswith("# a.net:2:1")
    assert all(re.search(r"  # a\.net:\d+:\d+$", line) for line in found)


def test_what_is_inside_stands_further_in() -> None:
    found = lines("net n() {\n    input x: [4]\n    output y = x + 2\n}\n")
    depth = {line.strip().split("  #")[0]: len(line) - len(line.lstrip()) for line in found}
    assert next(iter(depth.values())) == 0
    (sign,) = (line for line in found if "'+'" in line)
    inside = [
        line for line in found[found.index(sign) + 1 :] if line.startswith(" " * (len(sign) - len(sign.lstrip()) + 2))
    ]
    assert len(inside) == 2
    assert "left: Name" in inside[0]
    assert "right: " in inside[1]


def test_empty_parts_are_left_out() -> None:
    text = "\n".join(lines("net n() {\n    input x: [4]\n    output x\n}\n"))
    assert "None" not in text
    assert "=()" not in text
    assert "''" not in text


def test_a_text_that_does_not_parse_has_no_tree() -> None:
    with pytest.raises(ModelError):
        tree(Source("a.net", "net n( {\n"))


@pytest.mark.parametrize("path", MODELS[:6], ids=lambda path: path.stem)
def test_places_are_those_of_the_text(path: Path) -> None:
    """Every line names a place of the file, and declarations come in their order."""
    source = Source(path.name, path.read_text("utf-8"))
    found = tree(source).splitlines()
    file, _ = parse(source)
    tops = [line for line in found if not line.startswith(" ")]
    assert len(tops) == len(file.declarations)
    places = [tuple(map(int, line.rsplit(":", 2)[1:])) for line in tops]
    assert places == sorted(places)
    for line in found:
        number, column = map(int, line.rsplit(":", 2)[1:])
        assert 1 <= number <= len(source.line_starts)
        assert 1 <= column <= len(source.line(number)) + 1
