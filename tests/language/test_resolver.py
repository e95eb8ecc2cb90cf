"""One resolver of names: what the checker complains about, what the editor shows and what expansion looks up agree."""

from __future__ import annotations

import pytest
from expanding import faults, graph, source, warnings

from graphdl.language import check, expand
from graphdl.language.expansion import symbols
from graphdl.language.expansion.files import Files
from graphdl.language.expansion.meaning import Word, meaning
from graphdl.language.expansion.registry import Registry
from graphdl.language.expansion.resolver import resolve
from graphdl.language.expansion.symbols import Bindings


def bindings(text: str) -> Bindings:
    return resolve(Files().main(source(text)), Registry())


def defined_at(text: str, name: str) -> list[str | None]:
    """For each place where a name is written the text of the line that defines what it means there."""
    found = [o for o in bindings(text).occurrences if o.symbol.name == name]
    return [None if o.symbol.span is None else o.symbol.span.source.line(o.symbol.span.line).strip() for o in found]


FILE = """
let rate = 3
block relu(): x -> y { y = x }
net n() {
    input x: [4]
    param w: [4] = normal
    output y = x * w * rate -> relu
}
"""


def test_the_order_in_which_a_name_is_looked_up():
    scope = Files().main(source(FILE))
    assert meaning(scope, "rate") is scope.lets["rate"]
    assert meaning(scope, "relu") is scope.definitions["relu"]
    assert meaning(scope, "linear").file.is_library
    assert meaning(scope, "exp") == Word("exp", "primitive")
    assert meaning(scope, "normal") == Word("normal", "initializer")
    assert meaning(scope, "len") == Word("len", "function")
    assert meaning(scope, "training") == Word("training", "training")
    assert meaning(scope, "slice") is None
    assert meaning(scope, "x") is None


def test_the_editor_and_the_expansion_look_up_the_same():
    assert check(source(FILE)) == []
    made = graph(FILE)
    assert [module.kind for module in made.root.children] == ["relu"]
    assert defined_at(FILE, "relu") == ["block relu(): x -> y { y = x }"] * 2
    assert {o.symbol.kind for o in bindings(FILE).occurrences if o.symbol.name == "normal"} == {symbols.INITIALIZER}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("net n() { input x: [4]\n output y = z }", "E0201 2:13 'z' is not defined"),
        ("net n() { input x: [4]\n a = b\n b = x\n output y = a + b }", "E0203 2:6 'b' is used before it is defined"),
        ("net n() { input x: [4]\n input x: [4]\n output y = x }", "E0202 2:8 'x' is declared twice"),
        ("block f(): x, k = x -> y { y = x + k }\nnet n() { input x: [4]\n output y = x }",
         "E0201 1:19 'x' is not defined"),
        ("block f(): x -> y, z { y = x }\nnet n() { input x: [4]\n output y = x }",
         "E0501 1:20 the output 'z' of 'f' is never assigned"),
        ("net n() { input x: [4]\n if false { y = zz }\n output x }", "E0201 2:17 'zz' is not defined"),
    ],
)  # fmt: skip
def test_complaints_about_names(text, complaint):
    assert complaint in faults(text)
    assert complaint in [f"{d.code} {d.span.line}:{d.span.column} {d.message}" for d in bindings(text).complaints]


def test_a_default_of_an_input_does_not_see_the_other_inputs():
    text = "block f(): x, k = x -> y { y = x + k }\nnet n() { input x: [4]\n output y = x -> f }"
    with pytest.raises(Exception, match="'x' is not defined"):
        expand(source(text))
    assert faults(text) == ["E0201 1:19 'x' is not defined"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        # the name of an argument is no use of the callee's hyperparameter
        ("block f(a = 1): x -> y { y = x }\nnet n() { input x: [4]\n output y = x -> f(a = 2) }",
         ["W0203 1:9 'f' does not use its hyperparameter 'a'"]),
        # the value of a step that has the name of one outside is another one
        ("net n() { input x: [3, 4]\n v = 2\n output y = scan item in x { v = item\n emit v }\n }",
         ["W0201 2:2 'v' is never read"]),
        # any net may be the one that a train section trains
        ("net a(r = 1) { input x: [4]\n loss mean(x -> linear(1)) }\n"
         "net b(r = 1) { input x: [4]\n loss mean(x -> linear(1)) }\ntrain { optimizer sgd(r) }", []),
        # an input may be there for the dimension that it binds
        ("block f(): x: [n], like: [m] -> y { y = x * m }\nnet n() { input x: [4]\n output y = f(x, x) }", []),
        ("block f(): x: [n], like: [m] -> y: [m] { y = x }\nnet n() { input x: [4]\n output y = f(x, x) }",
         ["W0501 1:20 nothing reads the input 'like'"]),
        # a state's next value asks for the state
        ("net n() { input x: [4]\n state s: []\n update s = 1\n output x }", []),
    ],
)  # fmt: skip
def test_what_nothing_reads(text, found):
    assert warnings(text) == found


def test_the_names_of_loops_are_held_in_composed_form():
    text = "net n() { input x: [4]\n y = x\n for e\u0301, b in [[1, 2]] { y = y * \u00e9 + b }\n output y }"
    assert faults(text) == []
    kinds = [(o.symbol.name, o.symbol.kind) for o in bindings(text).occurrences if o.symbol.kind == symbols.LOOP]
    assert kinds == [("\u00e9", symbols.LOOP), ("b", symbols.LOOP)] * 2
    text = "net n() { input x: [4]\n output y = x * sum([e\u0301 for e\u0301 in 0..3]) }"
    assert faults(text) == []
