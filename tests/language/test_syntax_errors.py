"""Syntax errors: place and full text, several in a file, and that nothing makes the parser fail."""

import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_parser import BLOCKS, LENET

from graphdl.language.codes import catalogue
from graphdl.language.parser import parse
from graphdl.rendering import render
from graphdl.source import Source


def errors(text):
    """``line:column code message (help)`` of each error."""
    _, diagnostics = parse(Source("test.net", text))
    return [
        f"{d.span.line}:{d.span.column} {d.code} {d.message}" + (f" ({d.help})" if d.help else "") for d in diagnostics
    ]


IN_A_NET = [
    ("y = conv(20 5)", "13 E0107 expected `)` or `,` after `20`, found `5`"),
    ("y = ", "4 E0107 expected a value after `=`, found the end of the line"),
    ("y = (1 + )", "10 E0107 expected a value after `+`, found `)`"),
    ("y = 3 +* 4", "8 E0107 expected a value after `+`, found `*`"),
    ("y = 3 y = 4", "7 E0107 expected an operator or the end of the line after `3`, found `y`"),
    ("y = -> relu", "5 E0107 expected a value after `=`, found `->`"),
    ("y = x if 3", "11 E0107 expected `else` after `3`, found the end of the line"),
    ("y = x[]", "7 E0107 expected a value, `..` or `:` after `[`, found `]`"),
    ("y = ()", "6 E0107 expected a value after `(`, found `)`"),
    ("y = f(,)", "7 E0107 expected a value or `)` after `(`, found `,`"),
    (
        "y = f(x for x in z)",
        "9 E0107 `for` cannot stand here (a comprehension stands in brackets: `[f(k) for k in list]`)",
    ),
    ("y = {1, 2}", "5 E0107 expected a value after `=`, found `{`"),
    ("a, b", "5 E0107 expected `=` after `b`, found the end of the line"),
    ("y: ", "3 E0107 expected a type after `:`, found the end of the line"),
    ("x += 1", "3 E0107 `+=` is no sign of the language (write `x = x + ...`)"),
    ("x := 1", "3 E0107 `:=` is no sign of the language (write `x = ...`)"),
    (
        "input x",
        "8 E0107 expected `:` and a type after `x`, found the end of the line (write `input x: [3, 224, 224]`)",
    ),
    ("param W = 3", "9 E0107 expected `:` and a type after `W`, found `=` (write `param W: [n] = zeros()`)"),
    ("output", "7 E0107 expected a value after `output`, found the end of the line"),
    ("update y", "9 E0107 expected `=` after `y`, found the end of the line (write `update name = value`)"),
    ("assert x, 3", '11 E0107 expected a text in quotes after `,`, found `3` (write `assert condition, "text"`)'),
    ("if x = 3 { }", "6 E0107 expected a condition, found `=` (`==` compares)"),
    ("for w in { }", "10 E0107 expected a value after `in`, found `{` (write `for name in list { ... }`)"),
    (
        "y = scan { emit 3 }",
        "10 E0107 expected a name after `scan`, found `{` (write `scan item in sequence, state = start { ... }`)",
    ),
    (
        "y = x -> repeat 3 conv(3)",
        "19 E0107 expected an operator or `{` after `3`, found `conv` (write `repeat 3 { module }`)",
    ),
    ("inptu x: [3]", "1 E0107 no statement begins with `inptu x` (did you mean `input`?)"),
    ("return x", "1 E0107 no statement begins with `return x` (a block's outputs are assigned: `y = ...`)"),
    ("while x { y = 3 }", "1 E0107 no statement begins with `while x` (loops are `for`, `repeat` and `scan`)"),
    ("scan = 3", "1 E0108 `scan` is a reserved word and cannot be a name"),
    ("input for: [3]", "7 E0108 `for` is a reserved word and cannot be a name"),
    ("y = f(in = 3)", "7 E0108 `in` is a reserved word and cannot be a name"),
    ("batch 64", "1 E0109 `batch` is a setting: it stands in a train section"),
    (" net b { }", "2 E0109 `net` stands in the file, not in braces (is a `}` missing above?)"),
    ("y = 3 else 4", "7 E0109 `else` has no `if` before it"),
    (
        "y = x -> f + x",
        "10 E0110 what stands right of `->` is a module: a name, a call, a list, `repeat`, or anything in parentheses"
        " (for the `+` of the chain's value, put the chain in parentheses)",
    ),
    (
        "y = x -> 3",
        "10 E0110 what stands right of `->` is a module: a name, a call, a list, `repeat`, or anything in parentheses",
    ),
    ("y = x + 2 as z", "5 E0111 `as` names a module, and this is none (write `z = ...`)"),
    ("y = f(a = 3, 4)", "14 E0112 an argument by position follows one by name (put it first, or name it)"),
    ("x: integer[3] = 2", "4 E0113 `integer` is no type (the types are `float`, `int`, `bool` and `class(n)`)"),
    ("x: class = 2", "4 E0113 `class` needs its number of classes (write `class(10)`)"),
    ("x: int(3) = 2", "4 E0113 `int` takes no number in parentheses: only `class` does (write `int[...]`)"),
    ("x: [.., 3, ..] = 2", "12 E0113 a type has `..` at most once"),
    ("a = 3, 4", "5 E0114 2 values are assigned to one name (write a list: `[a, b]`)"),
    ("a, b: [3] = f", "7 E0114 several names cannot share one type (assign them one by one)"),
    ("y = a < b < c", "11 E0115 comparisons cannot be chained (write `a < b and b < c`)"),
    ("a.b = 3", "5 E0116 only a name can be assigned to (`==` compares)"),
    ("f(x) = 3", "6 E0116 only a name can be assigned to (`==` compares)"),
    ("y = z = 3", "7 E0116 a statement assigns once (`==` compares; assign on two lines)"),
    ("y = x ? 3", "7 E0101 `?` is no sign of the language"),
    ("y = x → f", "7 E0101 `→` is no sign of the language (write `->`)"),
    ("y = a && b", "7 E0101 `&&` is no sign of the language (write `and`)"),
    ("y = x\u00a0+ 1", "6 E0101 U+00A0 is no sign of the language (write a plain space)"),
    ("y = x² + 1", "5 E0101 a name cannot hold `²`"),
    ("y = 1.", "5 E0102 a number has digits on both sides of its dot (write `1.0`)"),
    ("y = .5", "5 E0102 a number has digits on both sides of its dot (write `0.5`)"),
    ("y = 3x", "5 E0102 `3x` is neither a number nor a name"),
    ("y = 1e999", "5 E0102 the number is too large: at most 1.8e308"),
    ("y = 9999999999999999999", "5 E0102 the number is too large: at most 18 digits"),
    ("y = 'same'", '5 E0103 texts stand in double quotes, `"` (write `"same"`)'),
    ('y = "same', '5 E0103 this text is not closed before the end of its line (close it with `"`)'),
    ('y = "a\\qb"', '7 E0103 `\\q` is no escape (the escapes are `\\n`, `\\t`, `\\"` and `\\\\`)'),
    ("y = f(1, 2]", "11 E0105 `(` is closed by `]` (write `)`)"),
    ("y = 3)", "6 E0105 `)` closes nothing: no `(` is open here"),
]


@pytest.mark.parametrize(("text", "expected"), IN_A_NET)
def test_one_error_in_a_net(text, expected):
    assert errors(f"net test {{\n{text}\nz = 4\n}}\n") == [f"2:{expected}"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "x = 3",
            "1:1 E0109 a file holds `import`, `let`, `block`, `net` and `train`; `x` cannot begin one"
            " (for a hyperparameter of the file, write `let x = ...`)",
        ),
        ("input x: [3]", "1:1 E0109 `input` stands in a net or block, not in the file"),
        (
            "nett a { }",
            "1:1 E0109 a file holds `import`, `let`, `block`, `net` and `train`; `nett` cannot begin one"
            " (did you mean `net`?)",
        ),
        ("net a\n{\n x = 3\n}", "2:1 E0107 the brace stands below its line (put it at the line's end)"),
        ("let x", "1:6 E0107 expected `=` after `x`, found the end of the line (write `let name = value`)"),
        ("import foo", '1:8 E0107 expected a text in quotes after `import`, found `foo` (write `import "file.net"`)'),
        (
            "block f(a) { }",
            "1:12 E0107 the block has no inputs and outputs"
            " (write `block name(hyperparameters): inputs -> outputs { ... }`)",
        ),
        (
            "block f(a): x { }",
            "1:15 E0107 the block has no outputs (write `block name(hyperparameters): inputs -> outputs { ... }`)",
        ),
        ("train { batch = 64 }", "1:15 E0107 a setting is written without `=` (write `batch ...`)"),
        ("train { clip }", "1:13 E0107 expected a value after `clip`, found the end of the line"),
        ("train { input x: [3] }", "1:9 E0109 `input` cannot begin a line of a train section"),
        ("net a {\n x = 3\n", "1:7 E0104 `{` is not closed (close it with `}`)"),
        ("net a {\n if b {\n  x = 3\n}\n", "2:7 E0104 `{` is not closed (close it with `}`)"),
        ("net a {\n x = 3\nnet b {\n}\n", "1:7 E0104 `{` is not closed (close it with `}`)"),
        ("net a {\n x = f(1,\n 2\n y = 3\n}\n", "2:7 E0104 `(` is not closed (close it with `)`)"),
        ("net a {\n x = [1, 2\n}\n", "2:6 E0104 `[` is not closed (close it with `]`)"),
        ("net a { } net b { }", "1:11 E0107 expected the end of the line after `}`, found `net`"),
    ],
)
def test_one_error_in_a_file(text, expected):
    assert errors(text) == [expected]


def test_all_errors_of_a_file_come_in_one_run():
    text = """net a(n = ) {
    input x
    y = conv(20 5)
    if n = 3 {
        z = = 3
    } else {
        z = 1 +
    }
    for w in { q = ] }
    p = (1, 2
    h, _ = scan t in x, h = 3 + {
        emit
        ok = 1
    }
}
block f: x -> {
    y = 3 4
}
train {
    batch = 3
    clip 1.
}
"""
    assert [e.split(" ")[0] for e in errors(text)] == [
        *("1:11", "2:12", "3:17", "4:10", "5:13", "7:16", "9:14", "9:20", "10:9", "11:33", "12:13"),
        *("16:15", "17:11", "20:11", "21:10"),
    ]


def test_what_could_be_read_is_in_the_tree():
    file, diagnostics = parse(Source("test.net", "net a(n = ) {\n x = 1\n y = \n z = 3\n}\nnet b { w = 4 }"))
    assert len(diagnostics) == 2
    a, b = file.declarations
    assert (a.name, [s.names[0].name for s in a.body]) == ("a", ["x", "z"])
    assert (b.name, [s.names[0].name for s in b.body]) == ("b", ["w"])


def test_a_missing_parenthesis_spoils_one_statement():
    file, diagnostics = parse(Source("test.net", "net a {\n x = f(1\n y = g(2)\n z = h([3, 4)\n w = 5\n}"))
    assert [(d.code, d.span.line) for d in diagnostics] == [("E0104", 2), ("E0104", 4)]
    assert [s.names[0].name for s in file.declarations[0].body] == ["x", "y", "z", "w"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("let a = " + "(" * 201 + "1" + ")" * 201, "brackets are nested more than 200 deep"),
        ("let a = " + "-" * 300 + "1", "this is nested, or goes on, more than 200 deep"),
        ("let a = 1" + " + 1" * 300, "this is nested, or goes on, more than 200 deep"),
        ("net a { y = x" + " -> f" * 300 + " }", "this is nested, or goes on, more than 200 deep"),
        ("net a { " + "if b { } else " * 300 + "{ } }", "this is nested, or goes on, more than 200 deep"),
        ("#" * 1_000_001, "the file has more than 1,000,000 characters"),
    ],
    ids=["brackets", "signs", "sum", "chain", "else", "size"],
)
def test_limits_are_refused(text, message):
    file, (diagnostic,) = parse(Source("test.net", text))
    assert (diagnostic.code, diagnostic.message, file.declarations) == ("E0106", message, ())


def test_long_lists_and_bodies_are_within_the_limits():
    text = "net a {\ny = [" + "1, " * 5000 + "]\n" + "z = y -> f\n" * 500 + "}"
    _, diagnostics = parse(Source("test.net", text))
    assert diagnostics == []


def test_every_code_is_explained_and_every_explained_code_occurs():
    raised = {e.split(" ")[1] for text, _ in IN_A_NET for e in errors(f"net a {{\n{text}\n}}")}
    raised |= {"E0104", "E0106"}  # tested above
    assert raised == {code for code in catalogue() if code.startswith("E01")}


def test_no_message_speaks_of_the_machinery():
    for text, _ in IN_A_NET:
        for error in errors(f"net a {{\n{text}\n}}"):
            assert not re.search(r"token|lark|_NEWLINE|\$END|\b[A-Z]{2,}\b(?<!U)", error.split(" ", 2)[2]), error


PIECES = re.findall(r"\w+|\s+|[^\w\s]", LENET + BLOCKS)
SLIPS = [
    *"(){}[]=,;:->+*/.#\"'\n \t\\$→0a_",
    "if",
    "else",
    "scan",
    "repeat",
    "net",
    "block",
    "only",
    "##",
    "emit",
    "in",
]


def check_never_fails(text):
    source = Source("test.net", text)
    file, diagnostics = parse(source)
    assert file.source is source
    for diagnostic in diagnostics:
        assert 0 <= diagnostic.span.start <= diagnostic.span.end <= len(text)
        assert render(diagnostic)


@pytest.mark.parametrize("seed", range(200))
def test_mutations_of_valid_text_never_fail(seed):
    chance = random.Random(seed)
    start = chance.randrange(len(PIECES))
    pieces = PIECES[start : start + chance.randrange(10, 300)]
    for _ in range(chance.randrange(1, 8)):
        at = chance.randrange(len(pieces) + 1)
        if chance.random() < 0.5:
            del pieces[at : at + chance.randrange(1, 4)]
        else:
            pieces.insert(at, chance.choice(SLIPS))
    check_never_fails("".join(pieces))


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60))
def test_any_text_never_fails(text):
    check_never_fails(text)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(SLIPS), max_size=40))
def test_any_signs_never_fail(pieces):
    check_never_fails(" ".join(pieces))
