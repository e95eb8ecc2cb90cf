"""Hover, definitions, references, highlights, the outline and formatting."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from lsp_client import CURSOR, ROOT, Client, covered

LENET = (ROOT / "models/vision/lenet.net").read_text(encoding="utf-8")

BLOCKS = """## Twice a convolution.
block double(channels, norm = batchnorm): x: [c, h, w] -> y: [channels, ..] {
    param scale: [c] = ones()
    inner = conv(channels, 3, pad = 1)
    assert c >= 1, "{c} channels"
    first = (x -> inner) if c == channels else x -> conv(channels, 1) as fit
    y = first -> inner -> norm(momentum = 0.2)
    y = y * mean(scale)
}

net n(width = 4) {
    input image: [3, 8, 8]
    a = image -> double(width) as d1
    for w in [width, 2 * width] {
        a = a -> double(w)
    }
    steps, last = scan row in a, total = zeros([8, 8]) {
        total = total + row
        emit total
    }
    output result = mean(steps) + mean(last) + d1.channels
}
"""


def mark(text: str, place: str) -> str:
    """The text with the cursor where ``place``, which holds the mark, says."""
    plain = place.replace(CURSOR, "")
    assert text.count(plain) == 1, plain
    return text.replace(plain, place)


@pytest.mark.parametrize(
    ("place", "wanted"),
    [
        ("-> con‸v(50", ["block conv(channels, kernel", "[20, 12, 12] -> [50, 8, 8]", "25,050 parameters", "FLOPs"]),
        ("as c‸1", ["c1: [20, 24, 24]", "520 parameters", "`c1`"]),
        ("fea‸tures = image", ["features: [50, 4, 4]"]),
        ("logits = feat‸ures", ["features: [50, 4, 4]"]),
        ("class(cla‸sses)", ["classes = 10", "hyperparameter of `lenet`"]),
        ("input ima‸ge", ["input image: [1, 28, 28]"]),
        ("net len‸et", ["net lenet(classes = 10): image: [1, 28, 28]", "431,080 parameters", "MFLOPs"]),
        ("= soft‸max", ["block softmax(axis = -1): x -> y", "[10] -> [10]", "exp(x)"]),
    ],
)
def test_hover_shows_shapes_costs_and_documentation(client: Client, place: str, wanted: list[str]) -> None:
    shown = client.hover("lenet.net", mark(LENET, place)) or ""
    assert all(text in shown for text in wanted), shown


@pytest.mark.parametrize(
    ("place", "wanted"),
    [
        ("image -> dou‸ble(width)", ["Twice a convolution.", "[3, 8, 8] -> [4, 8, 8]", "`d1`"]),
        ("a -> dou‸ble(w)", ["[4, 8, 8] -> [4, 8, 8]", "[4, 8, 8] -> [8, 8, 8]"]),
        ("y = fir‸st", ["first: [4, 8, 8]", "in turn", "[8, 8, 8]"]),
        ("param sca‸le", ["param scale: [3] = ones()", "parameter of `double`"]),
        ("for ‸w in", ["4", "8", "loop variable of `n`"]),
        ("x: [‸c, h", ["c = 3", "in turn", "dimension of `double`"]),
        ("total = tot‸al + row", ["total: [8, 8]"]),
        ("scan r‸ow in", ["row: [8, 8]"]),
        ("steps, la‸st = scan", ["last: [8, 8]"]),
        ("d1.chan‸nels", ["d1.channels = 4"]),
        ("mean(sc‸ale)", ["[3]"]),
        ("norm = batch‸norm", ["block batchnorm(momentum = 0.1"]),
        ("me‸an(steps)", ["mean(", "FLOPs"]),
    ],
)
def test_hover_inside_blocks_loops_and_scans(client: Client, place: str, wanted: list[str]) -> None:
    shown = client.hover("blocks.net", mark(BLOCKS, place)) or ""
    assert all(text in shown for text in wanted), shown


def test_hover_on_nothing(client: Client) -> None:
    assert client.hover("empty.net", "‸") is None
    assert client.hover("empty.net", "# a com‸ment\n") is None
    assert client.hover("empty.net", "net n {\n    input x: [2‸]\n    output x\n}\n") is None


def test_hover_in_a_broken_file_remembers(client: Client) -> None:
    client.diagnostics("broken.net", LENET)
    broken = LENET.replace("logits = features ->", "logits = (features ->")
    assert any(d["severity"] == 1 for d in client.diagnostics("broken.net", broken))
    assert "features: [50, 4, 4]" in (
        client.hover("broken.net", broken.replace("logits = (fea", "logits = (fea‸")) or ""
    )
    gone = LENET.replace("net lenet", "nett lenet")
    assert "c1: [20, 24, 24]" in (client.hover("broken.net", gone.replace("as c1", "as c‸1", 1)) or "")


def test_hover_range_counts_utf16_units(client: Client) -> None:
    text = 'net n {\n    input x: [2]\n    assert true, "😀"; wide = x + 1\n    output y = wide\n}\n'
    answer = client.at("textDocument/hover", "units.net", text.replace("wide = x", "wi‸de = x"))
    assert covered(text, answer["range"]) == "wide"
    assert "wide: [2]" in answer["contents"]["value"]


# -------------------------------------------------------------------------------------------------------- definitions


def where(client: Client, name: str, text: str) -> tuple[str, str] | None:
    """The file and the line to which the definition leads."""
    answer = client.at("textDocument/definition", name, text)
    if answer is None:
        return None
    path = Path(answer["uri"].removeprefix("file://"))
    known = client.texts.get(answer["uri"])
    lines = (known if known is not None else path.read_text(encoding="utf-8")).split("\n")
    return path.name, lines[answer["range"]["start"]["line"]].strip() if lines else ""


@pytest.mark.parametrize(
    ("place", "line"),
    [
        ("image -> dou‸ble(width)", "block double(channels"),
        ("y = fir‸st", "first = "),
        ("emit tot‸al", "steps, last = scan row"),
        ('"{‸c} channels"', "block double("),
        ("if c == ‸channels", "block double("),
        ("a -> double(‸w)", "for w in"),
        ("d‸1.channels", "a = image -> double(width) as d1"),
        ("mean(sca‸le)", "param scale"),
        ("* wid‸th]", "net n(width = 4)"),
    ],
)
def test_definitions_in_the_file(client: Client, place: str, line: str) -> None:
    found = where(client, "blocks.net", mark(BLOCKS, place))
    assert found is not None
    assert found[0] == "blocks.net"
    assert found[1].startswith(line)


def test_definitions_in_the_library_and_in_imports(client: Client, project: Path) -> None:
    assert where(client, "blocks.net", mark(BLOCKS, "inner = con‸v(")) == (
        "convolution.net",
        next(line for line in _library("convolution.net") if line.startswith("block conv(")),
    )
    (project / "parts").mkdir(exist_ok=True)
    (project / "parts/stem.net").write_text("# Stems.\nblock stem(n): x -> y {\n    y = x -> conv(n, 3)\n}\n")
    text = (
        'import "parts/stem.net"\nimport "parts/stem.net" as s\n'
        "net n {\n    input x: [3, 8, 8]\n    output y = x -> stem(n = 4) -> s.stem(2)\n}\n"
    )
    assert where(client, "user.net", mark(text, "-> ste‸m(n")) == ("stem.net", "block stem(n): x -> y {")
    assert where(client, "user.net", mark(text, "s.ste‸m(")) == ("stem.net", "block stem(n): x -> y {")
    assert where(client, "user.net", mark(text, "stem(‸n =")) == ("stem.net", "block stem(n): x -> y {")
    assert where(client, "user.net", mark(text, "-> ‸s.stem")) == ("user.net", 'import "parts/stem.net" as s')
    assert where(client, "user.net", text.replace("parts/stem", "parts/st‸em", 1)) == ("stem.net", "# Stems.")


def test_the_languages_own_words_have_no_definition(client: Client) -> None:
    assert where(client, "words.net", "net n {\n    input x: [2]\n    output y = maxi‸mum(x, 0)\n}\n") is None


def _library(name: str) -> list[str]:
    return (ROOT / "graphdl/language/library" / name).read_text(encoding="utf-8").split("\n")


# --------------------------------------------------------------------------------------------------------- references


def references(client: Client, name: str, text: str, *, declaration: bool = True) -> list[tuple[str, int]]:
    found = client.at("textDocument/references", name, text, context={"includeDeclaration": declaration})
    return sorted((Path(one["uri"]).name, one["range"]["start"]["line"] + 1) for one in found)


def test_references_of_locals(client: Client) -> None:
    assert references(client, "blocks.net", mark(BLOCKS, "param sca‸le")) == [("blocks.net", 3), ("blocks.net", 8)]
    assert references(client, "blocks.net", mark(BLOCKS, "param sca‸le"), declaration=False) == [("blocks.net", 8)]
    lines = [line for _, line in references(client, "blocks.net", mark(BLOCKS, "x: [‸c, h"))]
    assert lines == [2, 3, 5, 5, 6]
    assert [line for _, line in references(client, "blocks.net", mark(BLOCKS, "tot‸al = zeros"))] == [17, 18, 18, 19]


def test_references_across_files(client: Client, project: Path) -> None:
    (project / "common.net").write_text("block common(n): x -> y {\n    y = x -> conv(n, 3)\n}\n")
    (project / "one.net").write_text(
        'import "common.net"\nnet a {\n    input x: [1, 9, 9]\n    output y = x -> common(2)\n}\n'
    )
    (project / "own.net").write_text("block common(n): x -> y {\n    y = x\n}\n")
    text = 'import "common.net" as c\nnet b {\n    input x: [1, 9, 9]\n    output y = x -> c.comm‸on(n = 2)\n}\n'
    found = references(client, "two.net", text)
    assert found == [("common.net", 1), ("one.net", 4), ("two.net", 4)]
    plain = text.replace(CURSOR, "")
    found = references(client, "two.net", plain.replace("(n =", "(‸n ="))
    assert found == [("common.net", 1), ("common.net", 2), ("two.net", 4)]


def test_highlights_tell_writing_from_reading(client: Client) -> None:
    text = "net n {\n    input x: [2]\n    x‸ = x + 1\n    output x\n}\n"
    found = client.at("textDocument/documentHighlight", "lights.net", text)
    assert [(h["range"]["start"]["line"], h["kind"]) for h in found] == [(1, 3), (2, 3), (2, 2), (3, 2)]


# ------------------------------------------------------------------------------------------------ outline, formatting


def test_the_outline(client: Client) -> None:
    text = "let k = 3\n\n" + BLOCKS + "\ntrain first {\n    data digits\n    batch 8\n}\n"
    client.open("outline.net", text)
    found = client.request("textDocument/documentSymbol", {"textDocument": {"uri": client.uri("outline.net")}})
    assert [entry["name"] for entry in found] == ["k", "double", "n", "first"]
    block = {child["name"]: child for child in found[1]["children"]}
    assert {"x", "scale", "inner", "first", "fit", "y"} <= block.keys()
    assert covered(text, block["scale"]["selectionRange"]) == "scale"
    assert covered(text, block["scale"]["range"]) == "param scale: [c] = ones()"
    assert [child["name"] for child in found[3]["children"]] == ["data", "batch"]

    def nested(entry: dict[str, Any]) -> None:
        inner, outer = entry["selectionRange"], entry["range"]
        assert covered(text, inner) in covered(text, outer)
        for child in entry["children"]:
            nested(child)

    for entry in found:
        nested(entry)


def test_formatting(client: Client) -> None:
    def formatted(text: str) -> list[dict[str, Any]] | None:
        client.open("style.net", text)
        options = {"tabSize": 4, "insertSpaces": True}
        document = {"uri": client.uri("style.net")}
        return client.request("textDocument/formatting", {"textDocument": document, "options": options})

    untidy = "net n{\n  input x:[2]   # two\n  output y=relu( x )\n}\n"
    (edit,) = formatted(untidy) or []
    assert covered(untidy, edit["range"]) == untidy
    assert edit["newText"] == "net n {\n    input x: [2]  # two\n    output y = relu(x)\n}\n"
    assert formatted(edit["newText"]) == []
    assert formatted("net n {\n    input x: [\n") is None
    windows = untidy.replace("\n", "\r\n")
    (edit,) = formatted(windows) or []
    assert edit["newText"].count("\r\n") == 4
    assert formatted(edit["newText"]) == []
