"""``tools/bench``: the command measures, records and goes on; the tables say what the records hold."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from time import perf_counter
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "tools" / "bench"))

import kernels
import records
import report
from race import Contestant, ContestantError, race
from summary import Results, ratios
from worker import Order

from graphdl.runtime import Device
from graphdl.runtime.peak import multiply_adds

BENCH = Path(records.__file__).parent


def record(runtime: str, row: str = "lenet", section: str = "training", **rest: Any) -> records.Record:
    facts = {"flops": 4e9, "launches": 5, "peak_bytes": 3 << 20}
    fixed = {"section": section, "row": row, "runtime": runtime, "facts": facts, "missing": {}}
    return {**fixed, "batch": 64, "when": "2026-01-02 03:04", "commit": "abc", "load": [0.1], **rest}


def test_the_faster_layout_and_the_better_runtime_count() -> None:
    seconds = {"graphdl": [1.0, 2.0, 1.0], "pytorch": [9.0, 9.0, 9.0], "pytorch channels-last": [3.0, 4.0, 2.0]}
    one = record("A 1", seconds=seconds)
    two = record("B 2", seconds={"graphdl": [2.0], "pytorch": [5.0]})
    assert ratios(one, "pytorch") == [3.0, 2.0, 2.0]
    results = Results([one, two])
    assert results.ratio("training", "lenet", 64, "pytorch") == 2.5
    assert results.ratio("training", "lenet", 64, "tinygrad") is None


def test_a_later_record_counts_and_one_of_another_peer_does_not_hide_it() -> None:
    old = record("A 1", seconds={"graphdl": [1.0], "pytorch": [1.0]})
    new = record("A 1", seconds={"graphdl": [1.0], "pytorch": [3.0]})
    other = record("A 1", seconds={"graphdl": [0.5], "tinygrad": [10.0]})
    results = Results([old, new, other])
    assert results.ratio("training", "lenet", 64, "pytorch") == 3.0
    assert results.ratio("training", "lenet", 64, "tinygrad") == 20.0


def test_the_tables_say_what_the_records_hold() -> None:
    training = {"graphdl": [1.0, 1.0, 1.0], "pytorch": [1.0, 3.0, 2.0]}
    found = [
        record("A 1", "", "peak", facts={"peak": 8e9}),
        record("A 1", seconds=training, missing={"tinygrad": "is gone"}),
        record("A 1", "lenet", "inference", batch=1, seconds={"graphdl": [2.0], "onnxruntime": [1.0]}),
        record("A 1", "resnet50", "memory", batch=8, growth={"graphdl": 1 << 20, "pytorch": 4 << 20}),
        record("A 1", "resnet18", "start", batch=8, seconds={"cold": [9.0], "warm": [2.0]}),
        record("A 1", "lenet", "feeding", seconds={"graphdl": [2.0, 2.0, 2.0], "unfed": [1.9, 2.0, 1.0]}),
        record("A 1", "products", "kernels", facts={"kernels": [["matmul x", 6.0, 3.0, 2.1, 0.75]]}),
    ]
    text = report.markdown("the machine", found)
    for row in (
        "| training step, lenet | PyTorch | 2.0 | 2.00 | yes |",
        "| inference, batch 1 and 8 | ONNX Runtime | geometric mean 1.0 | geometric mean of 1 of 24 0.50 | no |",
        "| matrix products | measured peak | 85% | median 75%, least 75% (matmul x) | no |",
        "| peak memory, ResNet-50 training batch 8 | PyTorch's resident growth | 0.8 | 0.75: 3 MiB, 4 MiB | yes |",
        "| first step, resnet18 | caches cold; warm | 8 s; 3 s | 9.0 s, 2.0 s | no |",
        "| lenet | 64 | A 1 | 1000.00 | 4 | 50% | 5 | 2000.00, **2.00** (1.50–2.50) | – | – |",
        "| lenet | 64 | A 1 | 2000.00 | 1900.00 | 5.0% (2.5% to 27.5%) |",
        "| matmul x | A 1 | 6 | 75% | 3 | 2.10 |",
        "- training lenet 64, A 1: tinygrad: is gone",
    ):
        assert row in text, row


def test_a_contestant_that_fails_is_named_and_left_out() -> None:
    order = Order("graphdl", "training", "mlp", 3, threads=2)
    found = race({"graphdl": order, "other": Order("nobody", "training", "mlp", 3, threads=2)}, 1, 1.0, 100.0)
    assert found["missing"] == {"other": "run_nobody is not installed"}
    assert len(found["seconds"]["graphdl"]) == 1
    assert found["facts"]["flops"] > 3 * 3 * 2 * (784 * 512 + 512 * 512)  # forward and two gradients
    with pytest.raises(ContestantError, match="more than 0 s"), Contestant(order, 0.01):
        pass


def test_the_command_records_a_row_once(tmp_path: Path) -> None:
    command = [sys.executable, str(BENCH), "training", "mlp", "--peer", "pytorch", "--rounds", "2", "--seconds", "9"]
    command += ["--machine", "Some machine", "--results", str(tmp_path)]
    for _ in range(2):
        subprocess.run(command, check=True, capture_output=True)
    lines = [json.loads(line) for line in (tmp_path / "some-machine.jsonl").read_text("utf-8").splitlines()]
    rows = [line for line in lines if line["section"] == "training"]
    assert [(row["row"], row["batch"], row["missing"]) for row in rows] == [("mlp", 64, {})]
    assert {name: len(times) for name, times in rows[0]["seconds"].items()} == {"graphdl": 2, "pytorch": 2}
    assert all(time > 0 for times in rows[0]["seconds"].values() for time in times)
    assert "| mlp | 64 |" in (tmp_path / "some-machine.md").read_text("utf-8")


def test_the_share_of_the_peak_is_measured_beside_the_peak(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel of nothing but multiply-adds has all of it, one of half the operations in the same time half."""
    monkeypatch.setattr(kernels, "ROUNDS", 3)
    launch, operations = multiply_adds(device)
    whole, half = (kernels.measure(device, ("", flops, launch, bool), perf_counter)[3]
                   for flops in (operations, operations / 2))  # fmt: skip
    assert 0.6 < whole < 1.6
    assert 0.3 < half < 0.8
