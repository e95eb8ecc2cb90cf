"""Tokens, and where statements end."""

import pytest

from graphdl.language.lexer import LimitError, tokenize
from graphdl.source import Source


def words(text):
    """The tokens as text, `|` for the end of a statement and `_x` for a soft word that is a word."""
    lexed = tokenize(Source("test.net", text))
    assert lexed.diagnostics == []
    return " ".join("|" if t.type == "_NEWLINE" else t.text or t.type for t in lexed.tokens[:-1])


def types(text):
    return [t.type for t in tokenize(Source("test.net", text)).tokens[:-1]]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a = 1\nb = 2", "a = 1 | b = 2 |"),
        ("a = 1; b = 2", "a = 1 | b = 2 |"),
        ("a = 1 ;; \n ; b = 2;", "a = 1 | b = 2 |"),
        ("a = f(1,\n 2\n)\nb = 2", "a = f ( 1 , 2 ) | b = 2 |"),
        ("a = [1\n, 2]\nb = 2", "a = [ 1 , 2 ] | b = 2 |"),
        ("a =\n 1", "a = 1 |"),
        ("a, b,\nc = f", "a , b , c = f |"),
        ("a = x ->\n f", "a = x -> f |"),
        ("a = x\n -> f\n -> g", "a = x -> f -> g |"),
        ("a = 1 +\n 2", "a = 1 + 2 |"),
        ("a = 1\n + 2\n - 3", "a = 1 + 2 - 3 |"),
        ("a = b and\n not\n c\n or d", "a = b and not c or d |"),
        ("a = x if c\n else y", "a = x if c else y |"),
        ("a = x -> f\n as g", "a = x -> f as g |"),
        ("y = scan t\n in x { emit t }", "y = scan t in x { emit t | } |"),
        ("a = x # first\n\n # second\n -> f", "a = x -> f |"),
        ("if c {\n a = 1\n}\nelse {\n b = 2\n}\n", "if c { a = 1 | } else { b = 2 | } |"),
        ("a = f(repeat 2 {\n g\n -> h\n}, 1)", "a = f ( repeat 2 { g -> h | } , 1 ) |"),
        ("net a { }\r\nnet b {\r\n}\r\n", "net a { } | net b { } |"),
        ("\ufeffa = 1", "a = 1 |"),
        ("", ""),
        ("\n\n# nothing\n", ""),
    ],
)
def test_where_statements_end(text, expected):
    assert words(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0..4", ["NUMBER", "..", "NUMBER", "_NEWLINE"]),
        ("1.5e-3", ["NUMBER", "_NEWLINE"]),
        ("1_000", ["NUMBER", "_NEWLINE"]),
        ("a andb", ["NAME", "NAME", "_NEWLINE"]),
        ("a and b", ["NAME", "and", "NAME", "_NEWLINE"]),
        ("notx", ["NAME", "_NEWLINE"]),
        ("größe", ["NAME", "_NEWLINE"]),
        ('"a \\" b"', ["STRING", "_NEWLINE"]),
        ("a<=b", ["NAME", "<=", "NAME", "_NEWLINE"]),
        ("a//b**c", ["NAME", "//", "NAME", "**", "NAME", "_NEWLINE"]),
        ("x.shape[0]", ["NAME", ".", "NAME", "[", "NUMBER", "]", "_NEWLINE"]),
    ],
)
def test_kinds_of_tokens(text, expected):
    assert types(text) == expected


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("loss f(x)", "loss"),
        ("loss (x)", "loss"),
        ("emit -h", "emit"),
        ("output y", "output"),
        ("input x: [3]", "input"),
        ("loss = 3", "NAME"),
        ("loss: [3] = x", "NAME"),
        ("loss, a = f", "NAME"),
        ("state -> f as g", "NAME"),
        ("loss.x -> f as g", "NAME"),
        ("block(w) -> relu", "NAME"),
        ("block f: x -> y { }", "block"),
        ("train { }", "train"),
        ("net = f", "NAME"),
        ("metric\n -> f as g", "NAME"),
    ],
)
def test_a_soft_word_is_a_word_only_where_a_statement_begins_and_no_name_could_stand(text, first):
    assert types(text)[0] == first


def test_soft_words_within_a_statement_are_names():
    assert types("y = f(loss, input, train = state)") == [
        *("NAME", "=", "NAME", "(", "NAME", ",", "NAME", ",", "NAME", "=", "NAME", ")", "_NEWLINE")
    ]


def test_paths_after_only():
    text = 'train {\n only encoder.*, *.W,\n  b*\n only = 3\n only "a b", c\n}'
    lexed = tokenize(Source("test.net", text))
    assert [t.text for t in lexed.tokens if t.type == "PATTERN"] == ["encoder.*", "*.W", "b*"]
    assert [t.type for t in lexed.tokens if t.text == "only"] == ["only", "NAME", "only"]


def test_tokens_know_their_place_and_depth():
    tokens = tokenize(Source("test.net", "y = f([1])")).tokens
    assert [(t.text, t.start, t.end, t.depth) for t in tokens[:-2]] == [
        ("y", 0, 1, 0),
        ("=", 2, 3, 0),
        ("f", 4, 5, 0),
        ("(", 5, 6, 0),
        ("[", 6, 7, 1),
        ("1", 7, 8, 2),
        ("]", 8, 9, 1),
        (")", 9, 10, 0),
    ]


def test_documentation_belongs_to_the_line_below():
    text = "## lost\n\n## One\n## two\n# aside\nnet a {\n}\n### a rule\nnet b { } ## no\nnet c { }"
    lexed = tokenize(Source("test.net", text))
    assert {text[start : start + 5]: words for start, words in lexed.documentation.items()} == {"net a": "One\ntwo"}
    assert len(lexed.comments) == 6


@pytest.mark.parametrize(
    "text",
    [
        "f(a, [b)",
        "f(a]",
        "f(a}",
        "net a { x = (",
        "net a {\n x = (\n y = 3\n}",
        "a)",
        "}",
        "net a {\n if b {\n}\nnet c {}",
    ],
)
def test_brackets_are_balanced_whatever_the_text(text):
    lexed = tokenize(Source("test.net", text))
    assert lexed.diagnostics
    stack = []
    for token in lexed.tokens:
        if token.type in ("(", "[", "{"):
            stack.append(token.type)
        elif token.type in (")", "]", "}"):
            assert stack.pop() + token.type in ("()", "[]", "{}")
    assert stack == []


def test_brackets_nest_up_to_the_limit():
    tokenize(Source("test.net", "[" * 200 + "]" * 200))
    with pytest.raises(LimitError, match="nested more than 200 deep"):
        tokenize(Source("test.net", "[" * 201 + "]" * 201))
