"""The page of a run's curves: what is drawn, where it lies, and what a reader's browser gets."""

from __future__ import annotations

import html
import json
import re
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphdl.training.curves import Chart, StepCounter, page


def record(kind: str, step: int, loss: float | None, **more: Any) -> dict[str, Any]:
    plain = {"kind": kind, "stage": "train", "epoch": 1, "step": step, "loss": loss, "lr": 0.1, "metrics": {}}
    return plain | more


def charts(records: list[dict[str, Any]], title: str = "run") -> list[dict[str, Any]]:
    """What the page's script is given: for each chart its range of steps and its curves."""
    (data,) = re.findall(r"const charts = (.*?);\n", page(title, records))
    found: list[dict[str, Any]] = json.loads(data)
    return found


def titles(records: list[dict[str, Any]]) -> list[str]:
    return re.findall(r"<figcaption><b>(.*?)</b>", page("run", records))


def points(text: str) -> list[list[tuple[float, float]]]:
    """The corners of each line that is drawn."""
    return [
        [(float(x), float(y)) for x, y in (pair.split(",") for pair in path.split())]
        for path in re.findall(r'<polyline class="c\d" points="(.*?)"', text)
    ]


def test_steps_of_stages_follow_one_another() -> None:
    steps = StepCounter()
    stages = [("a", 3), ("a", 5), ("b", 1), ("b", 4), ("a", 2)]
    assert [steps.of({"stage": stage, "step": step}) for stage, step in stages] == [3, 5, 6, 9, 11]


def test_a_chart_leaves_out_what_is_no_number() -> None:
    chart = Chart("loss")
    for step, value in enumerate([1.0, None, float("nan"), float("inf"), 2.0]):
        chart.add("training", step, value)
    assert chart.curves == {"training": [(0, 1.0), (4, 2.0)]}


def test_losses_metrics_and_rates_have_charts_of_their_own() -> None:
    held_out = {"split": "test", "loss": 0.6, "metrics": {"accuracy": 0.8}}
    records = [
        record("steps", 5, 2.0, lr=0.2),
        record("epoch", 10, 1.0, metrics={"accuracy": 0.7}, held_out=held_out),
        record("epoch", 4, 0.5, stage="fine", metrics={"accuracy": 0.9}),
    ]
    assert titles(records) == ["loss", "accuracy", "learning rate"]
    loss, accuracy, rate = (chart["curves"] for chart in charts(records))
    assert loss == {"training, within the epoch": [[5, 2.0]], "training": [[10, 1.0], [14, 0.5]], "test": [[10, 0.6]]}
    assert accuracy == {"training": [[10, 0.7], [14, 0.9]], "test": [[10, 0.8]]}
    assert rate == {"lr": [[5, 0.2], [10, 0.1], [14, 0.1]]}


def test_metrics_within_an_epoch_are_not_drawn() -> None:
    assert titles([record("steps", 5, 2.0, metrics={"accuracy": 0.7})]) == ["loss", "learning rate"]


def test_a_run_without_records_says_so() -> None:
    assert "no epoch has ended yet" in page("run", [])
    assert charts([]) == []
    assert "no epoch has ended yet" in page("run", [record("steps", 5, 1.0)])


def test_the_last_epoch_in_a_line() -> None:
    held_out = {"split": "validation", "loss": 0.25, "metrics": {"accuracy": 0.875, "f1": None}}
    last = record("epoch", 30, 1.0, epoch=3, seconds=12.4, metrics={"accuracy": 0.5})
    found = page("run", [last, record("steps", 40, 0.9)])
    assert "<p>stage train, epoch 3, step 30, 12 s · training loss 1 · training accuracy 0.5</p>" in found
    found = page("run", [last | {"held_out": held_out}])
    assert "· validation loss 0.25 · validation accuracy 0.875</p>" in found


def test_names_are_text_and_no_markup() -> None:
    hostile = '</script><b onclick="x">'
    held_out = {"split": hostile, "loss": 1.0, "metrics": {}}
    found = page(hostile, [record("epoch", 1, 1.0, metrics={hostile: 0.5}, held_out=held_out)])
    assert hostile not in found
    assert found.count("</script>") == 1
    assert html.escape(hostile) in found
    assert charts([record("epoch", 1, 1.0, held_out=held_out)])[0]["curves"][hostile] == [[1, 1.0]]


def test_a_single_point_is_a_dot() -> None:
    found = page("run", [record("epoch", 7, 1.0)])
    assert found.count("<circle") == 2
    assert charts([record("epoch", 7, 1.0)])[0]["x"] == [0, 7]


@given(st.lists(st.floats(-1e30, 1e30), min_size=2, max_size=12))
def test_curves_lie_within_the_picture(values: list[float]) -> None:
    found = page("run", [record("epoch", 10 * k + 3, value) for k, value in enumerate(values)])
    lines = points(found)
    assert len(lines) == 2
    for line in lines:
        assert all(64 <= x <= 640 - 16 and 16 <= y <= 300 - 36 for x, y in line)
        assert [x for x, _ in line] == sorted(x for x, _ in line)
    losses = [y for _, y in lines[0]]
    assert losses[values.index(max(values))] == min(losses), "the greatest value stands highest"


@pytest.mark.parametrize(
    ("low", "high"), [(0.0, 1.0), (0.2, 0.3), (-5.0, 1200.0), (3.0, 3.0), (0.0, 0.0), (1e-8, 2e-8)]
)
def test_a_few_round_numbers_stand_beside_a_chart(low: float, high: float) -> None:
    found = page("run", [record("epoch", 1, low), record("epoch", 2, high)])
    figure = found.split("</figure>")[0]
    ticks = [float(text) for text in re.findall(r'<text class="left".*?>(.*?)</text>', figure)]
    assert 2 <= len(ticks) <= 7
    assert ticks == sorted(set(ticks))
    steps = {f"{(b - a):.3g}" for a, b in pairwise(ticks)}
    assert len(steps) == 1
    mantissa = float(f"{float(steps.pop()):e}".split("e")[0])
    assert mantissa in (1.0, 2.0, 5.0)
