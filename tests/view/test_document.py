"""The document: items by the structure of the text, uses of shared modules apart, series, scans, edges, costs."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest

import graphdl
from graphdl.view.document import Drawing, document
from graphdl.view.page import page

NETS = Path(__file__).parent / "nets"
CHAIN = """
## A stage.
block stage(width): x -> y { y = x -> conv(width, 3, pad = 1) as inner -> relu }
net chain(depth = 5) {
    input image: [4, 8, 8]
    input label: class(3)
    features = image -> conv(8, 3, pad = 1) as stem -> stage(8) -> repeat depth { stage(8) } -> stage(16)
    logits = features -> flatten -> linear(3)
    output probability = softmax(logits)
    loss cross_entropy(logits, label)
}
"""


def drawn(text: str, **settings: object) -> Drawing:
    return Drawing(graphdl.loads(text, **settings).module_graph)


def named(drawing: Drawing, label: str):
    return [item for item in drawing.items if item.label == label]


def test_the_items_follow_the_structure_of_the_text():
    drawing = drawn(CHAIN)
    labels = [child.label for child in drawing.root.children]
    assert labels == ["input", "input", "conv", "stage × 6", "stage", "flatten", "linear", "softmax", "cross_entropy",
                      "output", "loss"]  # fmt: skip
    stem = named(drawing, "conv")[0]
    assert (stem.name, stem.type, stem.kind, stem.text) == ("stem", "library", "convolution", "8, 3, pad 1")
    assert [child.label for child in stem.children if child.kind != "parameter"] == ["convolve", "reshape", "add"]
    assert named(drawing, "stage")[0].documentation == "A stage."


def test_three_equal_blocks_in_a_row_are_a_series_and_two_are_not():
    (series,) = [item for item in drawn(CHAIN).items if item.type == "series"]
    assert len(series.children) == 6
    assert {child.parent for child in series.children} == {series}
    assert not [item for item in drawn(CHAIN, depth=1).items if item.type == "series"]


def test_costs_add_up_to_those_of_the_table():
    from graphdl.summary import summarize

    model = graphdl.loads(CHAIN)
    summary = summarize(model.module_graph)
    drawing = Drawing(model.module_graph)
    assert drawing.root.cost.flops == summary.flops
    stem = named(drawing, "conv")[0]
    assert (stem.cost.bytes, sorted(stem.variables)) == (8 * 8 * 8 * 4, ["stem.W", "stem.b"])
    assert document(model.module_graph)["parameterCount"] == summary.parameters
    assert len(drawing.root.variables) == len(model.module_graph.parameters)


def test_every_use_of_a_shared_module_is_an_item_of_its_own():
    drawing = Drawing(graphdl.load(NETS / "unrolled_lstm.net", steps=5).module_graph)
    cells = named(drawing, "lstm_cell")
    assert [cell.shared for cell in cells] == [(k, 5) for k in range(1, 6)]
    assert {tuple(cell.variables) for cell in cells} == {("step.Wx", "step.Wh", "step.b")}
    ways = [
        (edge.source.parent, edge.target.parent)
        for edge in drawing.edges
        if edge.source.parent in cells and edge.target.parent in cells and edge.source.parent is not edge.target.parent
    ]
    assert set(ways) == set(itertools.pairwise(cells))


def test_a_scan_holds_its_step_with_edges_from_step_to_step():
    text = """
    net recurrent() {
        input x: [7, 3]
        y, last = x -> rnn(4)
        loss mean(last * last)
    }
    """
    drawing = drawn(text)
    (scan,) = [item for item in drawing.items if item.type == "scan"]
    assert scan.text == "7 steps"
    assert scan.parent.label == "rnn"
    assert {"tanh", "matmul", "item"} <= {child.label for child in scan.children}
    assert [(e.source.label, e.target.label) for e in drawing.edges if e.recurrent] == [("tanh", "item")]
    entering = [e for e in drawing.edges if e.target.parent is scan and e.source.parent is not scan]
    assert {e.target.name for e in entering} == {"i", "h"}
    readers = [e for e in drawing.edges if e.target.label == "multiply" and e.target.parent is drawing.root]
    assert [e.source.label for e in readers] == ["tanh", "tanh"]


def test_edges_say_whether_gradients_flow():
    drawing = drawn(CHAIN)
    smooth = {(e.source.label, e.target.label): e.smooth for e in drawing.edges}
    assert smooth["convolve", "add"]
    assert not smooth["input", "pick"] or smooth["log_softmax", "pick"]
    assert not any(e.smooth for e in drawing.edges if e.source.name == "label")
    assert not any(e.smooth for e in drawing.edges if e.target.label == "stop_gradient")


def test_places_point_at_the_source():
    found = document(graphdl.loads(CHAIN).module_graph)
    stem = next(item for item in found["items"] if item.get("name") == "stem")
    number, line, column, last_line, last_column = stem["place"]
    text = found["sources"][number]["text"].splitlines()[line - 1]
    assert (line, last_line) == (7, 7)
    assert text[column - 1 : last_column] == "conv(8, 3, pad = 1) as stem"


def test_a_document_is_json_for_every_net_of_the_zoo():
    for path in sorted((Path(__file__).parents[2] / "models").rglob("*.net")):
        if path.name in ("resnet.net", "resnet101.net", "resnet152.net", "densenet.net"):  # blocks alone, or large
            continue
        found = document(graphdl.load(path).module_graph)
        assert json.loads(json.dumps(found)) == found
        ids = {item["id"] for item in found["items"]}
        for item in found["items"]:
            assert set(item.get("children", ())) <= ids
            assert all(found["items"][child]["parent"] == item["id"] for child in item.get("children", ()))
        assert all(edge[0] in ids and edge[1] in ids for edge in found["edges"])


def test_no_text_ends_the_script_that_holds_it():
    model = graphdl.load(NETS / "hostile.net")
    html = page(model.name + "</title><script>", {"documents": [document(model.module_graph)]})
    data = html.split('id="data">')[1].split("</script>")[0]
    assert json.loads(data)["documents"][0]["sources"][0]["text"] == (NETS / "hostile.net").read_text("utf-8")
    assert "<" not in data
    assert html.count("<script") == 2
    assert "default-src 'none'" in html
    assert "Copyright (c) 2012-2014 Chris Pettitt" in html
    assert "<title>hostile&lt;/title&gt;&lt;script&gt;</title>" in html


@pytest.mark.parametrize("sign", ["<", ">", "&", "\u2028", "\u2029"])
def test_signs_that_end_strings_or_tags_are_written_as_escapes(sign):
    html = page("x", {"documents": [], "note": sign})
    assert sign not in html.split('id="data">')[1].split("</script>")[0]
