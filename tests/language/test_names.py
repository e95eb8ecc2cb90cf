"""Names follow Unicode's rules for identifiers, and are held in composed form."""

from __future__ import annotations

import sys
import unicodedata
from pathlib import Path

import pytest
from expanding import faults, source

from graphdl.language import check, expand
from graphdl.language.formatter import format_source
from graphdl.language.lexer import tokenize
from graphdl.language.words import name_end, name_start, placeholders
from graphdl.source import Source

NAMES = ["परत", "क्षेत्र", "ชั้น", "น้ำหนัก", "e\u0301tage", "schicht_größe", "слой", "层", "α1", "க்ஷ", "ᾳ", "℮x", "ℼ"]


def net(name: str) -> str:
    return (
        f"net n({name}_n = 3) {{\n    input x: [4]\n    {name} = x -> linear({name}_n)\n    if {name}.rank > 0 {{\n"
        f'        assert {name}.rank == 1, "{{{name}}} has {{{name}.rank}}"\n    }}\n    output y = {name}\n'
        f"    loss sum(y)\n}}\n\ntrain {{\n    only {name}.*, {name}.linear.W\n}}\n"
    )


@pytest.mark.parametrize("name", NAMES)
def test_letters_and_marks_of_any_script(name: str) -> None:
    assert check(source(net(name))) == []
    composed = unicodedata.normalize("NFC", name)
    graph = expand(source(net(name)))
    assert list(graph.parameters) == [f"{composed}.linear.W", f"{composed}.linear.b"]
    assert list(graph.hyperparameters) == [f"{composed}_n"]
    assert graph.stages[0].only == (f"{composed}.*", f"{composed}.linear.W")


def test_two_ways_to_write_a_letter_are_one_name() -> None:
    text = net("e\u0301tage").replace("output y = e\u0301tage", "output y = \u00e9tage")
    assert check(source(text)) == []
    assert expand(source(text), settings={"e\u0301tage_n": "5"}).hyperparameters == {"\u00e9tage_n": 5}
    assert "declared twice" in "".join(faults("let \u00e9 = 1\nlet e\u0301 = 2\n"))


def test_the_formatter_writes_the_composed_form() -> None:
    formatted = format_source(Source("a.net", net("e\u0301tage")))
    assert "    \u00e9tage = x -> linear(\u00e9tage_n)\n" in formatted
    assert format_source(Source("a.net", formatted)) == formatted


def test_characters_that_may_stand_in_a_name() -> None:
    """As Python's own identifiers, which follow the same rules; what is none is no part of a name without a word."""
    wrong = []
    for code in [*range(0x80, 0x600), 0x1885, 0x2118, 0x212E, *range(0x600, sys.maxunicode + 1, 199)]:
        character = chr(code)
        lexed = tokenize(Source("a.net", f"a{character}b = 1"))
        whole = not lexed.diagnostics and lexed.tokens[0].end == 3
        if whole != f"a{character}b".isidentifier():
            wrong.append(f"{code:x}")
    assert wrong == []


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("let \u0301a = 1\n", "is no sign of the language"),
        ("let a² = 1\n", "a name cannot hold `²`"),
        ("let a\u200b = 1\n", "U+200B"),
        ("let ½ = 1\n", "a name cannot hold `½`"),
    ],
)
def test_what_is_no_part_of_a_name(text: str, complaint: str) -> None:
    assert complaint in "".join(faults(text))


def test_where_names_begin_and_end() -> None:
    for name in NAMES:
        assert name_end(f"{name}→ ", 0) == len(name)
        assert name_start(f" →{name}", len(name) + 2) == 2
    assert name_end("3a", 0) == 0
    assert [parts for _, parts in placeholders("{x} { y.shape } {1} {a b} {} {e\u0301.rank}")] == [
        ["x"], ["y", "shape"], ["\u00e9", "rank"],
    ]  # fmt: skip


def test_a_checkpoint_is_read_whichever_way_the_file_is_written(tmp_path: Path) -> None:
    import graphdl

    first, second = tmp_path / "first.net", tmp_path / "second.net"
    first.write_text(net("e\u0301tage"), "utf-8")
    second.write_text(net("\u00e9tage"), "utf-8")
    model = graphdl.load(first, seed=3)
    model.save(tmp_path / "w.safetensors")
    other = graphdl.load(second, seed=4)
    other.load_weights(tmp_path / "w.safetensors")
    assert (other.parameters["\u00e9tage.linear.W"] == model.parameters["\u00e9tage.linear.W"]).all()
