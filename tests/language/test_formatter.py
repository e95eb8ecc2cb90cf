"""The canonical style."""

import random
from pathlib import Path

import pytest
from test_parser import BLOCKS, LENET
from trees import plain, tree

import graphdl
from graphdl.diagnostics import ModelError
from graphdl.language import formatter, layout
from graphdl.language.formatter import format_source
from graphdl.language.lexer import tokenize
from graphdl.source import Source

LIBRARY = sorted((Path(graphdl.__file__).parent / "language" / "library").glob("*.net"))
SHIPPED = [*LIBRARY, *sorted((Path(__file__).parents[2] / "models").rglob("*.net"))]


def formatted(text):
    return format_source(Source("test.net", text))


def in_net(text):
    """The formatted statements of a net, without the net."""
    lines = formatted("net a {\n" + text + "\n}").splitlines()
    return "\n".join(line.removeprefix("    ") for line in lines[1:-1])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("y=a+b*-c**2", "y = a + b * -c ** 2"),
        ("y = - 1-  - x", "y = -1 - -x"),
        ("y=not  a and(b or c)", "y = not a and (b or c)"),
        ("y = f ( a,b=1 , c= - 2 )", "y = f(a, b = 1, c = -2)"),
        ("y = x [ : ,1 : 3, :: 2, a:]", "y = x[:, 1:3, ::2, a:]"),
        ("y = x . shape [0]", "y = x.shape[0]"),
        ("y = [ 0 .. n-1 ]", "y = [0..n - 1]"),
        ("y = [f(k)for k in a if k>2]", "y = [f(k) for k in a if k > 2]"),
        ("y=x->f(1)as c->g", "y = x -> f(1) as c -> g"),
        ("a,_ ,b=f(x)", "a, _, b = f(x)"),
        ("y = x->repeat 3{conv(64)->relu}as s", "y = x -> repeat 3 { conv(64) -> relu } as s"),
        ("input x :[ .. ,n ]", "input x: [.., n]"),
        ("input x:class( 10 ) [n]", "input x: class(10)[n]"),
        ("param W:[n]=zeros ()", "param W: [n] = zeros()"),
        ("emit - h", "emit -h"),
        ("loss(y)", "loss (y)"),
        ('assert n>0,"n is {n}"', 'assert n > 0, "n is {n}"'),
        ("y = f(a, b,)", "y = f(a, b)"),
        ("y = (a,)", "y = (a,)"),
        ("a = 1; b = 2", "a = 1\nb = 2"),
        ("a = 1; -b", "a = 1\n; -b"),
        ("h = scan t in x, { emit t }", "h = scan t in x {\n    emit t\n}"),
        ("h = scan  recompute t in x { emit t }", "h = scan recompute t in x {\n    emit t\n}"),
        ("if a{b=1}else if c{}else{d=2}", "if a {\n    b = 1\n} else if c { } else {\n    d = 2\n}"),
        ("for i,j in[1]{x=i}", "for i, j in [1] {\n    x = i\n}"),
        (
            "y,h=scan t in x,h=s{h=f(t,h);emit h}",
            "y, h = scan t in x, h = s {\n    h = f(t, h)\n    emit h\n}",
        ),
    ],
)
def test_spaces_and_lines(text, expected):
    assert in_net(text) == expected
    assert in_net(expected) == expected


@pytest.mark.parametrize(
    "text",
    [
        # a chain, below its first arrow
        "features = image -> conv(20, 5) as c1 -> maxpool(2)\n                 -> conv(50, 5) as c2 -> maxpool(2)",
        "skip = x if stride == 1\n       else x -> conv(3)",
        "y = concat(x -> f,\n           x -> g\n             -> h,\n           axis = 0)",
        "y = concat(\n    x -> f,\n    x -> g,\n)",
        "y = x\n    -> f\n    -> g",
        "y = a\n    + b\n    * c",
        "y = x -> repeat 3 {\n    f\n        -> g\n} -> h",
        "y = x -> repeat 3 { f } # why",
    ],
)
def test_the_authors_line_breaks_stay(text):
    assert in_net(text) == text.replace(" # why", "  # why")


def test_line_breaks_elsewhere_go():
    assert in_net("y =\n  x ->\n f ->\n   g") == "y = x\n    -> f\n    -> g"
    assert in_net("y =\n  f(1\n , 2)") == "y = f(1, 2)"
    assert in_net("a,\nb = f") == "a, b = f"


def test_lines_that_are_too_long_are_broken_at_the_outermost_place():
    call = "conv(channels, 3, stride = stride, pad = 1, bias = false)"
    assert in_net(f"y = x -> {call} -> batchnorm -> {call} -> batchnorm") == (
        f"y = x -> {call} -> batchnorm\n      -> {call} -> batchnorm"
    )
    name = "n" * 50
    assert in_net(f"y = f({name}, {name}, {name})") == f"y = f({name}, {name},\n      {name})"
    assert in_net(f"y = {name} if {name} else {name}") == f"y = {name} if {name}\n    else {name}"
    assert in_net(f"y = {name} + {name} + {name}") == f"y = {name} + {name}\n    + {name}"


def test_a_long_header_is_broken():
    ports = ", ".join(f"input_{n}: [channels, height, width]" for n in range(3))
    assert formatted(f"block f(a): {ports} -> y: [a, a] {{ y = 1 }}") == (
        f"block f(a): {ports}\n        -> y: [a, a] {{\n    y = 1\n}}\n"
    )


def test_comments_stay():
    text = """# file

# above
net a { # header
    # first
    x = 1 # one
    yy = 22 #two

    # alone

    z = f(1, # arg
          # own
          2)
    w = x # here
        -> g
    # last
} # end
# after
"""
    assert (
        formatted(text)
        == """# file

# above
net a {  # header
    # first
    x = 1    # one
    yy = 22  # two

    # alone

    z = f(1,  # arg
          # own
          2)
    w = x  # here
        -> g
    # last
}  # end

# after
"""
    )


def test_documentation_stays_documentation():
    text = "##A net.\nnet a {\n##  A picture.\n  input x: [3]\n}\n"
    assert formatted(text) == "## A net.\nnet a {\n    ##  A picture.\n    input x: [3]\n}\n"
    assert plain(tree(formatted(text))) == plain(tree(text))


def test_empty_lines():
    text = '\n\nimport "a"\nlet b = 1\nnet c {\n\n\n  x = 1\n\n\n  y = 2\n\n}\n# d\nnet d { }\ntrain { }\n\n\n'
    assert formatted(text) == (
        'import "a"\nlet b = 1\n\nnet c {\n    x = 1\n\n    y = 2\n}\n\n# d\nnet d { }\n\ntrain { }\n'
    )


def test_turns_and_settings_of_parameters():
    text = "train a for b{rate  x.*,y=0.1;start d.W=transpose( u.W )\nturn c{steps 2;best max( q )}\nturn d {  }}"
    assert formatted(text) == (
        "train a for b {\n    rate x.*, y = 0.1\n    start d.W = transpose(u.W)\n    turn c {\n        steps 2\n"
        "        best max(q)\n    }\n    turn d { }\n}\n"
    )


def test_two_dots_in_an_index():
    assert formatted("net n { y=x[ .. ,:3 ]+x[0,..,1] }") == "net n {\n    y = x[.., :3] + x[0, .., 1]\n}\n"


def test_settings():
    assert formatted("train{data csv( 'a' );only  a.*,*.b;augment[f],g;feed x=y}".replace("'", '"')) == (
        'train {\n    data csv("a")\n    only a.*, *.b\n    augment [f], g\n    feed x = y\n}\n'
    )


def test_the_empty_file():
    assert formatted("") == formatted("\n\n") == ""
    assert formatted("# only\n") == "# only\n"


def test_a_file_with_syntax_errors_is_refused():
    with pytest.raises(ModelError, match="E0107"):
        formatted("net a { y = }")


@pytest.mark.parametrize("text", [LENET, BLOCKS], ids=["lenet", "blocks"])
def test_the_designs_examples_keep_their_layout(text):
    squeeze = [line.split("#")[0].rstrip() for line in text.strip().splitlines()]
    assert [line.split("#")[0].rstrip() for line in formatted(text).splitlines()] == squeeze


@pytest.mark.parametrize("path", LIBRARY, ids=lambda path: path.stem)
def test_the_library_keeps_its_meaning(path):
    check_meaning_and_stability(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_what_ships_is_in_the_canonical_style(path):
    text = path.read_text(encoding="utf-8")
    assert formatted(text) == text


@pytest.mark.parametrize("width", [0, 40, 120])
@pytest.mark.parametrize("seed", range(12))
def test_any_layout_keeps_its_meaning_and_formatting_twice_changes_nothing(monkeypatch, seed, width):
    monkeypatch.setattr(layout, "WIDTH", width)
    monkeypatch.setattr(formatter, "WIDTH", width)
    check_meaning_and_stability(scramble(LENET + BLOCKS, random.Random(seed)))


def check_meaning_and_stability(text):
    once = formatted(text)
    assert plain(tree(once)) == plain(tree(text))
    assert once.count("#") == text.count("#")
    assert formatted(once) == once


def scramble(text, chance):
    """The text with other spaces, line ends and comments wherever they mean nothing."""
    pieces = []
    brackets = []
    before = ""
    for token in tokenize(Source("test.net", text)).tokens[:-1]:
        if token.type == "_NEWLINE":
            pieces.append(chance.choice(["\n", "\n\n\n", " # end\n", "\n# own\n", "\n  # own\n\n"]))
            before = "\n"
            continue
        free = before in ("=", ",", "->", "+", "{") or token.type == "->" or brackets[-1:] in (["("], ["["])
        if before != "\n":
            pieces.append(
                chance.choice(["\n", "\n      ", " # why\n", "\n  # own\n"]) if free and chance.random() < 0.2 else " "
            )
        pieces.append(token.text)
        if token.type in ("(", "[", "{"):
            brackets.append(token.type)
        elif token.type in (")", "]", "}"):
            brackets.pop()
        before = token.type
    return "".join(pieces)
