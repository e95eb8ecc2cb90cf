"""Reports of steps: numbers that are waited for only when somebody looks at them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from graphdl.training.reports import Queue, Report


class Arriving:
    """Stands for what is on its way: it counts how often it was waited for."""

    def __init__(self, *values: float) -> None:
        self.values, self.waited = np.array(values, np.float32), 0

    def result(self) -> np.ndarray:
        self.waited += 1
        return self.values


def report(
    *values: float, losses: tuple[str, ...] = ("a", "b"), metrics: tuple[str, ...] = ("m",)
) -> tuple[Report, Arriving]:
    arriving: Any = Arriving(*values)
    return Report(7, arriving, losses, metrics), arriving


def test_nothing_is_waited_for_until_it_is_looked_at() -> None:
    made, arriving = report(3.0, 1.0, 2.0, 0.5)
    assert (made.step, arriving.waited) == (7, 0)
    assert float(made) == 3.0
    assert (made.losses, made.metrics) == ({"a": 1.0, "b": 2.0}, {"m": 0.5})
    assert arriving.waited == 1


def test_a_net_without_metrics() -> None:
    made, _ = report(3.0, 3.0, losses=("only",), metrics=())
    assert (made.losses, made.metrics) == ({"only": 3.0}, {})


def test_a_report_reads_like_a_number() -> None:
    made, _ = report(0.75, 0.5, 0.25, 0.5)
    assert (repr(made), f"{made:.3f}", f"{made}") == ("0.75", "0.750", "0.75")


@pytest.mark.parametrize(
    ("compute", "value"),
    [
        (lambda r: r + 1, 1.75), (lambda r: 2 * r, 1.5), (lambda r: r - r, 0.0), (lambda r: -r, -0.75),
        (lambda r: r / 3, 0.25), (lambda r: r < 1, True), (lambda r: r == 0.75, True), (lambda r: r > 1, False),
        (lambda r: np.sqrt(r) ** 2, 0.75), (lambda r: np.mean([r, r]), 0.75), (lambda r: np.asarray(r).shape, ()),
        (lambda r: np.asarray(r, np.float64).dtype, np.float64), (lambda r: sum([r, r]), 1.5),
    ],
)  # fmt: skip
def test_a_report_computes_like_a_number(compute: Any, value: Any) -> None:
    made, arriving = report(0.75, 0.5, 0.25, 0.5)
    assert compute(made) == pytest.approx(value) if isinstance(value, float) else compute(made) == value
    assert arriving.waited == 1


def test_a_queue_lets_the_newest_travel() -> None:
    queue: Queue[int] = Queue()
    for number in range(11):
        queue.add(number)
        if number < 8:
            assert list(queue.ready()) == []
    assert list(queue.ready()) == [0, 1, 2]
    assert list(queue.ready()) == []
    queue.add(11)
    assert list(queue.ready()) == [3]
    assert list(queue.drain()) == list(range(4, 12))
    assert list(queue.drain()) == []
