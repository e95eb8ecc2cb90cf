"""What is read after a syntax error: all that the error does not touch."""

import pytest

from graphdl.language import syntax
from graphdl.language.parser import parse
from graphdl.source import Source


def read(text):
    """The names of the declarations with the number of their statements, and the messages."""
    file, found = parse(Source("test.net", text))
    bodies = [(d.name, len(d.body)) for d in file.declarations if isinstance(d, syntax.Net | syntax.Block)]
    return bodies, [d.message for d in found], file


@pytest.mark.parametrize(
    "text",
    [
        "net a { x = 3 } foo\nnet b {\n y = 3\n z = 4\n}\nnet c { }",
        "net a { x = 3 } + 4\nnet b {\n y = 3\n z = 4\n}\nnet c { }",
        "net a { x = 3 } net b { y = 3; z = 4 }; net c { }",
    ],
)
def test_a_declaration_ends_with_its_body_whatever_stands_behind(text):
    bodies, messages, _ = read(text)
    assert bodies == [("a", 1), ("b", 2), ("c", 0)]
    assert len(messages) == 1
    assert messages[0].startswith("expected")


@pytest.mark.parametrize("statement", ["if c { x = 3 } foo", "y = scan x in c { emit x } foo", "repeat 3 { relu } 4"])
def test_a_statement_ends_with_its_body_whatever_stands_behind(statement):
    bodies, messages, file = read("net a {\n " + statement + "\n k = 1\n}\nnet b {\n y = 3\n}\n")
    assert bodies == [("a", 2), ("b", 1)]
    assert len(messages) == 1
    assert file.lost <= {"foo"}


def test_a_dropped_statement_names_its_other_errors():
    _, messages, file = read("net a {\n y = f(a = 1, 2) + = 3\n z = 99999999999999999999 + = 4\n k = 1\n}\n")
    assert [m.split(":")[0] for m in messages] == [
        "an argument by position follows one by name",
        "expected a value after `+`, found `=`",
        "the number is too large",
        "expected a value after `+`, found `=`",
    ]
    assert file.lost == {"y", "z"}


def test_errors_inside_bodies_leave_the_statements_around_them():
    text = "net a {\n if c {\n  x = = 1\n  y = 2\n  for k in 0..3 { z = ; w = 1 }\n }\n v = 3\n}\n"
    bodies, messages, file = read(text)
    assert bodies == [("a", 2)]
    assert len(messages) == 2
    inner = file.declarations[0].body[0]
    assert [type(statement).__name__ for statement in inner.then] == ["Assign", "For"]
