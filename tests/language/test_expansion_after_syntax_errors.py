"""What a syntax error has spoilt is not complained of again, and what it has not is."""

import pytest
from expanding import source

from graphdl.language import Source, check


def codes(text):
    return [d.code for d in check(source(text))]


IN_A_NET = [
    # mended in place
    ("output y = x -> linear(3) + 1", "E0110"),
    ("output y = x -> 3", "E0110"),
    ("output y = image -> conv(3, 3, pad = 'same')", "E0103"),
    ("output y = image -> conv(channels = 3, 3)", "E0112"),
    ("a = x, x\n output a", "E0114"),
    ("z = x -> linear(3) as c = 3\n output y = c", "E0116"),
    # dropped
    ("a = x -> -> relu\n output y = a + 1", "E0107"),
    ("a, b = {1, 2}\n output y = x * b", "E0107"),
    ("input w [4]\n output y = x * w", "E0107"),
    ("if a == 3 { y = x * } else { y = x }\n output y", "E0107"),
    # a header that stands in for one
    ("output x\n else { output y = x }", "E0109"),
    ("if a = 3 { y = x * 2 } else { y = x }\n output y", "E0107"),
    ("for i of 0..3 { z = x * i }\n output y = z", "E0107"),
    ("y = scan q on image {\n emit q * 2\n }\n output y", "E0107"),
]


@pytest.mark.parametrize(("statements", "code"), IN_A_NET)
def test_one_complaint_of_a_statement(statements, code):
    assert codes(f"net n(a = 3) {{\n input x: [4]\n input image: [3, 8, 8]\n {statements}\n}}") == [code]


NET = "net n() {\n input x: [4]\n output y = x -> twice(3)\n}"
DECLARATIONS = [
    ("block twice(n): x {\n y = x * n\n}\n" + NET, "E0107"),
    ("block twice(n) x -> y {\n y = x * n\n}\n" + NET, "E0107"),
    ("block twice(n = 'x'): x -> y {\n y = x -> conv(1, 1, pad = n)\n}\n" + NET, "E0103"),
    ("net n(a = ) {\n input x: [4]\n output y = x * a\n}", "E0107"),
    ("net n(a = 'x') {\n input x: [4]\n output y = x * a\n}", "E0103"),
    ("let a = 3 +\nnet n() {\n input x: [4]\n output y = x * a\n}", "E0107"),
    ("let a = 'x'\nnet n() {\n input x: [4]\n output y = x * a\n}", "E0103"),
    ("import file.net\n" + NET, "E0107"),
    ('import "missing.net"\n' + NET, "E0208"),
    ('import "missing.net" as m\nnet n() {\n input x: [4]\n output y = x -> m.twice\n}', "E0208"),
    ("net n() {\n input x: [4]\n loss c = mean(x)\n}\ntrain { optimizer sgd(lr = 'a') }", "E0103"),
]


@pytest.mark.parametrize(("text", "code"), DECLARATIONS)
def test_one_complaint_of_a_declaration(text, code):
    assert codes(text) == [code]


def test_independent_faults_are_reported_beside_it():
    text = (
        "block twice(n): x {\n y = x -> liner(3)\n}\n"
        "net n(a = 3) {\n input x: [4]\n b = x -> -> relu\n if a = 3 { z = b }\n"
        " output y = x -> liner(3)\n output w = x[7]\n}"
    )
    found = [(d.code, d.span.line) for d in check(source(text))]
    assert found == [("E0107", 1), ("E0201", 2), ("E0107", 6), ("E0107", 7), ("E0201", 8), ("E0417", 9)]


def test_what_an_imported_file_has_lost_is_not_missed(tmp_path):
    (tmp_path / "blocks.net").write_text("block twice(n = ): x {\n y = x * n\n}\nblock once(: x -> y { y = x }\n")
    text = 'import "blocks.net"\nimport "blocks.net" as b\nnet n() {\n input x: [4]\n'
    text += " output y = x -> twice(3)\n output z = x -> b.twice(3)\n output w = x -> b.third\n}"
    path = tmp_path / "net.net"
    path.write_text(text)
    found = [
        (d.code, d.span.source.name.rpartition("/")[2], d.span.line) for d in check(Source("net.net", text, str(path)))
    ]
    assert found == [("E0210", "net.net", 7), ("E0107", "blocks.net", 1), ("E0104", "blocks.net", 4)]
