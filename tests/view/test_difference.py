"""The difference of two models: what is added, removed and changed, in words that a person would use."""

from __future__ import annotations

from pathlib import Path

import pytest

import graphdl
from graphdl.view.bundles import comparison

RESNETS = Path(__file__).parents[2] / "models" / "vision"
NET = """
net small(width = 8, dropped = false) {
    input image: [1, 8, 8]
    input label: class(3)
    x = image -> conv(width, 3) as c1 -> relu -> flatten
    x = x -> dropout(0.5) if dropped else x
    logits = x -> linear(3)
    loss cross_entropy(logits, label)
}
"""


def compared(first: dict[str, object], second: dict[str, object]):
    return comparison(graphdl.loads(NET, **first).network.training, graphdl.loads(NET, **second).network.training)


def told(found) -> list[tuple[str, str]]:
    return [(change["kind"], change["text"]) for change in found["difference"]["changes"]]


def test_equal_models_have_no_difference():
    found = compared({}, {})
    assert told(found) == []
    assert {status for side in found["difference"]["statuses"] for status in side} == {"same"}


def test_a_changed_hyperparameter_is_told_where_it_stands():
    found = compared({}, {"width": 12})
    assert ("changed", "c1: channels 8 → 12") in told(found)
    assert not [change for change in told(found) if change[0] != "changed"]


def test_an_added_module_is_added_one_way_and_removed_the_other():
    assert ("added", "x.dropout: dropout 0.5") in told(compared({}, {"dropped": True}))
    assert ("removed", "x.dropout: dropout 0.5") in told(compared({"dropped": True}, {}))


@pytest.mark.slow
def test_resnet_50_and_101_differ_in_the_depth_of_one_stage():
    first, second = (graphdl.load(RESNETS / f"resnet{depth}.net").module_graph for depth in (50, 101))
    found = comparison(first, second)
    changes = told(found)
    assert any("bottleneck × 5 → bottleneck × 22" in text for _, text in changes)
    assert [kind for kind, text in changes if text.startswith("17 × bottleneck")] == ["added"]
    assert not any(kind == "removed" for kind, _ in changes)
