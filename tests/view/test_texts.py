"""Pictures for documents: DOT, Mermaid and SVG, and the layout of the SVG."""

from __future__ import annotations

import random
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

import graphdl
from graphdl.view.document import document
from graphdl.view.drawing import svg
from graphdl.view.layered import layered
from graphdl.view.texts import Folding, dot, mermaid

ROOT = Path(__file__).parents[2]
LENET = ROOT / "models" / "vision" / "lenet.net"
HOSTILE = Path(__file__).parent / "nets" / "hostile.net"


@pytest.fixture(scope="module")
def lenet():
    return document(graphdl.load(LENET).module_graph)


def test_dot_has_a_node_for_each_box_and_the_shapes(lenet):
    text = dot(lenet)
    assert text.startswith('digraph "lenet" {')
    assert re.search(r'n\d+ \[label="conv c1\\n20, 5", fillcolor="#dbe8fb"\]', text)
    assert text.count(" -> ") == sum(1 for _ in Folding(lenet).edges())
    assert '[label=" [20, 24, 24]"]' in text


def test_blocks_are_clusters_while_the_picture_stays_small():
    found = document(graphdl.load(ROOT / "models" / "vision" / "inception_small.net").module_graph)
    text = dot(found)
    assert text.count("subgraph cluster_") == 2
    assert text.count("{") == text.count("}")
    assert mermaid(found).count("subgraph") == 2


def test_mermaid_writes_every_sign_that_is_its_own_as_a_number():
    found = document(graphdl.loads('net t(note = "a") { input x: [2]\n output y = x -> linear(3) as "quoted" \n }'
                                   .replace('"quoted"', "quoted")).module_graph)  # fmt: skip
    lines = mermaid(found).splitlines()
    assert lines[0] == "flowchart TB"
    assert any(re.fullmatch(r'  n\d+ -->\|"#91;2#93;"\| n\d+', line) for line in lines)


def test_the_svg_is_well_formed_and_shows_hostile_text_as_text(lenet):
    for found in (lenet, document(graphdl.load(HOSTILE).module_graph)):
        tree = ElementTree.fromstring(svg(found))
        texts = ["".join(element.itertext()) for element in tree.iter("{http://www.w3.org/2000/svg}text")]
        assert not list(tree.iter("{http://www.w3.org/2000/svg}script"))
        assert len(texts) > 5
    assert "linear" in texts


def test_a_layout_runs_downwards_without_overlaps():
    dice = random.Random(4)
    for _ in range(30):
        count = dice.randint(1, 24)
        sizes = {k: (dice.uniform(10, 120), dice.uniform(10, 40)) for k in range(count)}
        edges = [(a, b) for b in range(count) for a in range(b) if dice.random() < 0.15]
        found = layered(sizes, edges)
        assert set(found.routes) == set(edges)
        for a, b in edges:
            assert found.centers[a][1] + sizes[a][1] / 2 < found.centers[b][1] - sizes[b][1] / 2
            assert found.routes[a, b][0] == pytest.approx((found.centers[a][0], found.centers[a][1] + sizes[a][1] / 2))
        boxes = [(found.centers[k], sizes[k]) for k in sizes]
        for i, ((ax, ay), (aw, ah)) in enumerate(boxes):
            assert ax - aw / 2 >= -0.01
            assert ax + aw / 2 <= found.width + 0.01
            for (bx, by), (bw, bh) in boxes[:i]:
                assert abs(ax - bx) >= (aw + bw) / 2 or abs(ay - by) >= (ah + bh) / 2


def test_a_circle_is_drawn_with_an_edge_that_runs_back():
    found = layered({"a": (20, 10), "b": (20, 10), "c": (20, 10)}, [("a", "b"), ("b", "c"), ("c", "a")])
    assert [found.centers[k][1] for k in "abc"] == sorted(found.centers[k][1] for k in "abc")
    (_, first), *_, (_, last) = found.routes["c", "a"]
    assert first > last


def test_an_empty_layout_has_no_size():
    assert (layered({}, []).width, layered({}, []).height) == (0.0, 0.0)
