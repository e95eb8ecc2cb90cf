"""Where the cursor stands, in lines that are still being written."""

from __future__ import annotations

import pytest

from graphdl.language.lexer import tokenize
from graphdl.language_server.context import Context, context
from graphdl.source import Source

CURSOR = "‸"
FILE = """let depth = 3

block same(channels): x: [c, h, w] -> y {
    y = x -> conv(channels, 3)
}

net n() {
    input image: [3, 8, 8]
    @
    loss mean(image)
}
"""


def at(text: str) -> Context:
    offset = text.index(CURSOR)
    plain = text.replace(CURSOR, "")
    return context(plain, tokenize(Source("a.net", plain)).tokens, offset)


def within(line: str) -> Context:
    return at(FILE.replace("@", line))


@pytest.mark.parametrize(
    ("line", "word", "begins", "last"),
    [
        ("‸", "", True, ""),
        ("y = ‸", "", False, "="),
        ("y = ima‸ge", "ima", False, "="),
        ("y = image -> ‸", "", False, "->"),
        ("y = image -> re‸", "re", False, "->"),
        ("y‸", "y", True, ""),
        ("y ‸", "", False, "NAME"),
        ("y = image.‸", "", False, "."),
        ("if true { ‸ }", "", True, ""),
        ("y = [image, ‸", "", False, ","),
    ],
)
def test_the_word_and_what_stands_before_it(line: str, word: str, begins: bool, last: str) -> None:
    found = within(line)
    assert (found.word, found.begins, found.last) == (word, begins, last)
    assert found.start == FILE.replace("@", line).index(CURSOR) - len(word)


@pytest.mark.parametrize(
    ("text", "declaration"),
    [
        ("‸", None),
        ("let a = 3\n‸", None),
        ("net n() {\n ‸\n}", "net"),
        ("block b(): x -> y {\n y = ‸ }", "block"),
        ("train {\n optimizer ‸\n}", "train"),
        ("train warm {\n ‸\n}", "train"),
        ("net n() {\n for k in 0..3 {\n ‸\n }\n}", "net"),
        ("net n() {\n for k in 0..3 {\n y = k }\n ‸\n}", "net"),
        ("net n() {\n}\n‸", None),
        ("net n() {\n}\ntrain {\n data ‸\n}", "train"),
        ("net n() {\n ‸", "net"),
    ],
)
def test_the_declaration_around_the_cursor(text: str, declaration: str | None) -> None:
    assert at(text).declaration == declaration


@pytest.mark.parametrize(
    ("line", "statement"),
    [
        ("a, b = image ‸", ["a", ",", "b", "=", "image"]),
        ("y = image\n    z = tanh(‸", ["z", "=", "tanh", "("]),
        ("if image.rank == 3 { y = ‸ }", ["y", "="]),
        ("y = scan r in image, s = 0 { emit r }.‸", None),
        ("output ‸", ["output"]),
    ],
)
def test_the_tokens_of_the_statement(line: str, statement: list[str] | None) -> None:
    found = [token.text for token in within(line).statement]
    if statement is None:
        assert found[:4] == ["y", "=", "scan", "r"]
        assert found[-1] == "."
    else:
        assert found == statement


@pytest.mark.parametrize(
    ("line", "callee", "arguments", "piped", "named"),
    [
        ("y = conv(‸", ["conv"], [""], False, []),
        ("y = image -> conv(3, ‸", ["conv"], ["3", ""], True, []),
        ("y = conv(image, [1, 2], pad = ‸", ["conv"], ["image", "[1,2]", "pad="], False, ["pad"]),
        ("y = conv(image, pad = 1, ‸)", ["conv"], ["image", "pad=1", ""], False, ["pad"]),
        ("y = lib.vision.block(3, ‸", ["lib", "vision", "block"], ["3", ""], False, []),
        ("y = f(g(1, 2), h(‸", ["h"], [""], False, []),
        ("y = f(g(1, 2), ‸", ["f"], ["g(1,2)", ""], False, []),
        ("y = f(image,\n        ‸", ["f"], ["image", ""], False, []),
        ("y = image -> lib.block(‸", ["lib", "block"], [""], True, []),
    ],
)
def test_the_call_around_the_cursor(
    line: str, callee: list[str], arguments: list[str], piped: bool, named: list[str]
) -> None:
    call = within(line).call
    assert call is not None
    assert [token.text for token in call.callee] == callee
    assert ["".join(token.text for token in argument) for argument in call.arguments] == arguments
    assert (call.piped, call.named) == (piped, named)


@pytest.mark.parametrize(
    "line",
    [
        "y = image‸",
        "y = conv(3)‸",
        "y = (image + ‸",
        "y = [1, ‸",
        "y = f(1)\n    ‸",
        "y = scan r in f(1) { ‸",
        "y = f(1])‸",
    ],
)
def test_where_there_is_no_call(line: str) -> None:
    assert within(line).call is None


def test_what_the_lexer_puts_in_is_not_there_yet() -> None:
    """The end of a line that is not written, and the end of the text."""
    found = at("net n() {\n y = image -> ‸")
    assert [token.text for token in found.before][-3:] == ["=", "image", "->"]
    assert not found.begins
    assert at("let depth = 3 ‸").last == "NUMBER"
    assert at("let depth = 3\n‸").begins


def test_a_line_that_goes_on_does_not_begin_a_statement() -> None:
    assert not within("y = image\n      -> relu\n      -> ‸").begins
    assert not within("y = (image\n      + ‸").begins
    assert within("y = image -> relu\n    ‸").begins
