"""Nothing that a file can hold makes expansion run on, run deep or raise anything but diagnostics."""

import random
import re
import time
from pathlib import Path

import pytest
from expanding import body, faults, source

from graphdl.language import check
from graphdl.rendering import render
from graphdl.resources import resource
from graphdl.source import Source

NET = "net n() {{ input x: [4]\n {} }}"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (
            "\n".join(f"block b{i}(): x -> y {{ y = x -> b{i + 1} -> b{i + 1} }}" for i in range(60))
            + "\nblock b60(): x -> y { y = x }\n" + NET.format("output y = x -> b0"),
            "takes more than 300,000 steps",
        ),
        (NET.format("a = [1]\n for i in 0..60 { a = a + a }\n output y = x * len(a)"), "131,072 items is too long"),
        (NET.format("a = [1]\n for i in 0..99 { a = [a, a] }\n b = [[1]]\n for i in 0..98 { b = [b, b] }\n"
                    " output y = x if a == b else x"), "300,000 steps"),
        (NET.format("a = [1]\n for i in 0..15 { a = [a, a, a, a] }\n output y = x * a"), "is too large"),
        (NET.format('a = "abc"\n for i in 0..60 { a = a + a }\n output y = x * len([a])'), "a text of"),
        (NET.format("a = 3\n for i in 0..60 { a = a * a }\n output y = x * a"), "the number is too large"),
        (NET.format("output y = x * 2 ** 2 ** 2 ** 2 ** 2 ** 2"), "the number is too large"),
        (NET.format("output y = x * sum([sum([1 for c in 0..1000]) for b in 0..1000])"), "300,000 steps"),
        (NET.format("output y = x -> repeat 1000 { repeat 1000 { relu } }"), "300,000 steps"),
        (NET.format("output y = x -> n"), "'n' stands inside itself without end"),
        ("block f(g): x -> y { y = x -> g(g) }\n" + NET.format("output y = x -> f(f)"), "stands inside itself"),
        ("let a = b\nlet b = a\n" + NET.format("output y = x * a"), "used before it is defined"),
    ],
)  # fmt: skip
def test_what_would_never_end_is_refused_soon(text, complaint):
    start = time.process_time()
    found = faults(text)
    assert any(complaint in line for line in found), found
    assert time.process_time() - start < 8


def test_a_block_may_use_itself_as_long_as_it_ends():
    before = "block tree(n): x -> y { y = x -> linear(4) -> tree(n - 1) if n > 0 else x }"
    g = body("output y = x -> tree(90)", before=before, inputs="input x: [4]")
    assert len(g.parameters) == 180
    assert g.outputs["y"].type.shape == (4,)


@pytest.mark.parametrize(
    "statement",
    [
        "output y = x @ [[]]", "output y = concat([])", "output y = zeros([])[0]",
        "output y = (x -> linear)(3)", "output y = len", "output y = relu * 2", "output y = x -> len",
        "output y = x -> zeros", "param w: [4] = relu; output y = x", "param w: [4] = constant; output y = w",
        "output y = x * (1e308 * 10)", "output y = x[10 ** 18]", "output y = x -> linear(10 ** 15)",
        "output y = none", "output y = -true", "output y = x[true]", "output y = not 3", "output y = x(1)",
        "output y = (x, x)", "a, b = (x, x, x)", "for a, b in [1] { x = a }", "for a in x { x = a }",
        "output y = x.shape.rank", "output y = linear.units", "output y = [1, 2].length", "output y = x[1:2:0]",
        "output y = x ** none", 'output y = "a" * 2', "output y = [1] - [1]", "output y = 1..2..3",
        "output y = scan a in x { }", "output y = scan a in x { emit linear }", "relu as r", "x -> (1 as r)",
        "assert x, \"no\"", "assert 1 == 2, \"{x.nothing} {nobody}\"", "update x = x", "emit x",
        "output y = sum([1, x])", "output y = max(x, 3)", "output y = fill([-1], 0)", "output y = reshape(x, [0])",
        "output y = pad(x, [1], 1)", "output y = mean(x, axis = \"0\")", "output y = sum(x, axis = [0, 0])",
        "metric y = x -> nothing", "loss none", "input y: class(0); output y", "input y: [4] = 3; output y",
        "state s: int[4]; output y = x", "output y = x -> embedding(3)", "output y = one_hot(x)",
        "output y = x -> dropout(2)", "output y = reshape(x, [1, 2, 2]) -> conv(1, 1, pad = 0.5)",
        "output y = reshape(x, [1, 2, 2]) -> conv(1, 1, pad = none)",
        "output y = reshape(x, [1, 2, 2]) -> conv(1, 1, pad = [0, relu])",
    ],
)  # fmt: skip
def test_nonsense_is_a_diagnostic(statement):
    found = check(source(f"net n() {{\n    input x: [4]\n    {statement}\n}}\n"))
    assert any(d.is_error for d in found)
    for diagnostic in found:
        assert render(diagnostic)
        assert re.fullmatch(r"[EW]0[1-6]\d\d", diagnostic.code)


def test_whatever_a_slip_of_the_hand_makes_of_a_file_is_answered():
    texts = [p.read_text() for p in sorted(resource("models").rglob("*.net"))]
    texts += [p.read_text() for p in sorted((Path(__file__).parent / "diagnostics").glob("E04*.net"))]
    pieces = [re.findall(r'\w+|"[^"\n]*"|\s+|->|\*\*|//|\.\.|[<>=!]=|.', text) for text in texts if len(text) < 2000]
    words = [piece for text in pieces for piece in text if piece.strip()]
    draw = random.Random(1)
    for _ in range(60):
        text = list(draw.choice(pieces))
        for _ in range(draw.choice([1, 2, 5])):
            place = draw.randrange(len(text))
            text[place] = draw.choice([draw.choice(words), "", "-1", "none", "[1, 2]", "10 ** 12"])
        for diagnostic in check(Source("model.net", "".join(text))):
            assert render(diagnostic)


def test_nested_statements_are_read_once_and_not_once_a_level():
    text = "net n() { input x: [3]; y = 0\n" + "if true { y = y + 1\n" * 150 + "}" * 150 + "\noutput y = x + y }"
    start = time.process_time()
    assert check(Source("deep.net", text)) == []
    assert time.process_time() - start < 2
