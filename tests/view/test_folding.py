"""What of a document is shown: blocks are opened while the picture stays small, and edges meet what stands for them."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from random import Random
from typing import Any

import pytest

from graphdl.view.drawing import svg
from graphdl.view.texts import Folding, dot, mermaid, title


def made(number: int, count: int = 30) -> dict[str, Any]:
    """A document of blocks within blocks at random, with edges from earlier items to later ones."""
    random = Random(number)
    items: list[dict[str, Any]] = [
        {"id": 0, "type": "net", "label": "n", "kind": "net", "parent": None, "children": []}
    ]
    for k in range(1, count):
        parents = [item for item in items if item["type"] in ("net", "block", "scan")]
        parent = random.choice(parents[-6:])
        kind = random.choice(["block", "scan", "operator", "operator", "operator"])
        items.append(
            {"id": k, "type": kind, "label": f"l{k}", "kind": random.choice(["linear", "activation", "other"]),
             "name": f"n{k}" if random.random() < 0.3 else None, "text": "3, 4" if random.random() < 0.3 else "",
             "parent": parent["id"], "children": []}
        )  # fmt: skip
        parent["children"].append(k)
    leaves = [item["id"] for item in items if not item["children"] and item["id"]]
    edges = []
    for number_, source in enumerate(leaves):
        for target in random.sample(leaves[number_ + 1 :], min(2, len(leaves) - number_ - 1)):
            edges.append([source, target, f"[{source}, 2]", f"v{source}", random.random() < 0.1, 0])
    return {"name": "made", "items": items, "edges": edges}


def above(items: list[dict[str, Any]], number: int) -> list[int]:
    """An item and all that it stands in."""
    chain = [number]
    while (parent := items[chain[-1]]["parent"]) is not None:
        chain.append(parent)
    return chain


@pytest.mark.parametrize("number", range(12))
def test_what_is_shown_stands_in_opened_blocks_alone(number: int) -> None:
    document = made(number)
    folding = Folding(document, most=12)
    items = document["items"]
    for item in items:
        chain = above(items, item["id"])
        shown = folding.shown(item["id"])
        assert shown in chain
        assert all(outer in folding.unfolded for outer in above(items, shown)[1:])
        closed = [outer for outer in chain[1:] if outer not in folding.unfolded]
        assert shown == (closed[-1] if closed else item["id"])


@pytest.mark.parametrize("number", range(12))
@pytest.mark.parametrize("most", [1, 8, 20, 1000])
def test_blocks_are_opened_level_by_level_while_there_is_room(number: int, most: int) -> None:
    document = made(number)
    folding = Folding(document, most)
    items = document["items"]
    shown = [item for item in items if item["id"] and folding.shown(item["id"]) == item["id"]]
    first_level = items[0]["children"]
    if len(folding.unfolded) > 1:
        assert len(shown) - len(folding.unfolded) + 1 <= most
        assert len(shown) <= most
    else:
        assert len(shown) == len(first_level)
    if most == 1000:
        assert folding.unfolded == {0} | {i["id"] for i in items if i["type"] in ("block", "scan") and i["children"]}
    depths = [len(above(items, k)) for k in folding.unfolded]
    closed = [len(above(items, i["id"])) for i in items
              if i["type"] in ("block", "scan") and i["children"] and i["id"] not in folding.unfolded]  # fmt: skip
    assert not closed or max(depths) <= min(closed)


@pytest.mark.parametrize("number", range(12))
def test_each_tensor_is_one_edge_between_what_is_shown(number: int) -> None:
    document = made(number)
    folding = Folding(document, most=12)
    found = list(folding.edges())
    expected = {
        (folding.shown(a), folding.shown(b), shape)
        for a, b, shape, _, recurrent, _ in document["edges"]
        if not recurrent and folding.shown(a) != folding.shown(b)
    }
    assert set(found) == expected
    assert len(found) == len(expected)


@pytest.mark.parametrize("number", range(6))
def test_every_text_has_each_box_and_each_edge(number: int) -> None:
    document = made(number)
    folding = Folding(document)
    boxes = [i for i in document["items"] if i["id"] and folding.shown(i["id"]) == i["id"]]
    folded = [item for item in boxes if item["id"] not in folding.unfolded]
    text, chart = dot(document), mermaid(document)
    for item in folded:
        assert f"n{item['id']} [label=" in text
        assert f'n{item["id"]}["' in chart
    assert text.count(" -> ") == chart.count(" -->|") == len(list(folding.edges()))
    assert text.count("subgraph cluster_") == chart.count("subgraph ") == len(folding.unfolded) - 1
    drawn = ElementTree.fromstring(svg(document))
    space = "{http://www.w3.org/2000/svg}"
    texts = ["".join(element.itertext()) for element in drawn.iter(f"{space}text")]
    assert {title(item) for item in boxes} <= set(texts)
    arrows = [path for path in drawn.iter(f"{space}path") if path.get("fill") == "#97a1ac"]
    assert len(arrows) == len({(a, b) for a, b in _local(folding)})


def _local(folding: Folding) -> set[tuple[int, int]]:
    """The edges as they are drawn: between the two items, side by side, that hold their ends."""
    found = set()
    for source, target, _ in folding.edges():
        one, other = above(folding.items, source)[::-1], above(folding.items, target)[::-1]  # type: ignore[arg-type]
        depth = next(k for k, (a, b) in enumerate(zip(one, other, strict=False)) if a != b)
        found.add((one[depth], other[depth]))
    return found
