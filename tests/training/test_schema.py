"""What the files of a run hold: every entry checked, and every fault named by its entry."""

from __future__ import annotations

import json
from typing import Any

import pytest

from graphdl.training.schema import Position, Record, Resumption, Settings, Sums, convert, plain, read

SETTINGS: dict[str, Any] = {"main": "model.net", "net": None, "set": {"width": 3}, "overrides": {"batch": 4}}
RECORD: dict[str, Any] = {
    "kind": "epoch", "stage": "train", "epoch": 1, "step": 10, "loss": None, "metrics": {"accuracy": 0.5}, "lr": 0.1,
}  # fmt: skip


def refused(value: Any, kind: type) -> str:
    with pytest.raises(ValueError, match=r"the entry|expected") as caught:
        convert(value, kind)
    return str(caught.value)


def test_what_may_be_missing_has_its_default() -> None:
    found = convert(SETTINGS, Settings)
    assert (found.overrides.batch, found.overrides.epochs, found.seed, found.stages, found.run) == (4, None, 0, [], "")
    line = convert(RECORD, Record)
    assert (line.loss, line.metrics, line.held_out, line.best, line.seconds) == (
        None,
        {"accuracy": 0.5},
        None,
        False,
        0,
    )


def test_a_position_is_written_and_read_again() -> None:
    position = Position(stage=1, epoch=2, batch=3, step=40, draws=90, epoch_sums=Sums([1.5, None], 3), best=0.25)
    written = json.dumps(plain(position)).encode()
    value, found = read(written, Position)
    assert found == position
    assert value == plain(position)
    assert convert({}, Position) == Position()


@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        ({"main": 3}, Settings, "the entry 'main': expected str, got int"),
        ({"nets": "a"}, Settings, "the entry 'nets' is unknown"),
        ({"seed": -1}, Settings, "the entry 'seed': expected int >= 0"),
        ({"overrides": {"batch": 0}}, Settings, "the entry 'overrides.batch': expected int >= 1"),
        ({"overrides": {"batches": 1}}, Settings, "the entry 'overrides.batches' is unknown"),
        ({"overrides": {"epochs": 2**53 + 1}}, Settings, "the entry 'overrides.epochs': expected int <= 9007"),
        ({"data": {"train": {"class_names": {"label": "ab"}}}}, Settings, "expected array, got str"),
        ({"inputs": {"x": {"shape": [2]}}}, Settings, "field' is missing"),
        ({"inputs": {"x": {"field": "x", "shape": [-1]}}}, Settings, "expected int >= 0"),
        ({"inputs": {"x": {"field": "x", "shape": [2], "table": {"columns": [], "separator": ",,"}}}}, Settings,
         "expected str of length <= 1"),
        ({"kind": "step"}, Record, "the entry 'kind': invalid enum value 'step'"),
        ({"epoch": 0}, Record, "the entry 'epoch': expected int >= 1"),
        ({"loss": "high"}, Record, "the entry 'loss': expected float | null, got str"),
        ({"seconds": -0.5}, Record, "the entry 'seconds': expected float >= 0.0"),
        ({"held_out": {"split": "test", "loss": 1.0, "losses": {}}}, Record, "the entry 'held_out.metrics' is missing"),
    ],
)  # fmt: skip
def test_a_wrong_entry_is_named(change: dict[str, Any], kind: type, words: str) -> None:
    whole = SETTINGS if kind is Settings else RECORD
    assert words.lower() in refused(whole | change, kind).lower()


@pytest.mark.parametrize(
    ("kind", "place"),
    [
        (Settings, ""), (Settings, "overrides"), (Settings, "data.train"), (Settings, "inputs.x"),
        (Settings, "inputs.x.table"), (Record, ""), (Record, "held_out"), (Resumption, ""), (Resumption, "position"),
        (Resumption, "position.epoch_sums"),
    ],
)  # fmt: skip
def test_nothing_unknown_is_passed_over(kind: type, place: str) -> None:
    """A misspelt entry would otherwise be one that is missing, at any depth."""
    table = {"columns": [], "separator": ","}
    wholes: dict[type, dict[str, Any]] = {
        Settings: SETTINGS | {"data": {"train": {}}, "inputs": {"x": {"field": "x", "shape": [2], "table": table}}},
        Record: RECORD | {"held_out": {"split": "test", "loss": 1.0, "losses": {}, "metrics": {}}},
        Resumption: {"net": "a", "seed": 0, "run": "r", "sources": "h", "position": plain(Position())},
    }
    whole = json.loads(json.dumps(wholes[kind]))
    convert(whole, kind)
    inner = whole
    for name in filter(None, place.split(".")):
        inner = inner[name]
    inner["wrong"] = 1
    assert "wrong' is unknown" in refused(whole, kind)


def test_a_run_begins_at_the_beginning() -> None:
    begun = plain(Position())
    assert {name for name, value in begun.items() if value} == {"epoch_sums", "interval_sums"}
    assert begun["epoch_sums"] == begun["interval_sums"] == {"values": [], "count": 0}
    assert begun["first_loss"] is None
    assert begun["best"] is None
    line = convert(RECORD, Record)
    assert (line.examples_per_second, line.losses) == (0.0, {})


@pytest.mark.parametrize(("entry", "kind"), [("main", Settings), ("overrides", Settings), ("lr", Record)])
def test_a_missing_entry_is_named(entry: str, kind: type) -> None:
    whole = SETTINGS if kind is Settings else RECORD
    left = {name: value for name, value in whole.items() if name != entry}
    assert refused(left, kind) == f"the entry '{entry}' is missing"


def test_counts_of_a_checkpoint_are_checked_however_deep_they_lie() -> None:
    position = plain(Position()) | {"interval_sums": {"values": [], "count": -1}}
    value = {"net": "a", "seed": 0, "run": "r", "sources": "h", "position": position}
    assert refused(value, Resumption) == "the entry 'position.interval_sums.count': expected int >= 0"


@pytest.mark.parametrize(
    ("text", "words"),
    [(b"{", ""), (b'{"stage": 1, "stage": 2}', "'stage' stands twice"), (b"[]", "expected object, got array")],
)
def test_a_text_is_read_as_strict_json(text: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words or "Expecting"):
        read(text, Position)
