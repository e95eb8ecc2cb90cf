"""What the files of a run hold, checked when they are read: settings, lines of metrics, metadata of checkpoints."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, TypeVar

import msgspec

from graphdl import strict_json

_MOST = 2**53
"""Counts are exact in every program that reads JSON."""

Count = Annotated[int, msgspec.Meta(ge=0, le=_MOST)]
Positive = Annotated[int, msgspec.Meta(ge=1, le=_MOST)]
Seed = Annotated[int, msgspec.Meta(ge=0)]
Time = Annotated[float, msgspec.Meta(ge=0)]
Number = float | None
"""None stands for NaN and the infinities."""


class Overrides(msgspec.Struct, forbid_unknown_fields=True):
    """What the command line or a caller said when the run began."""

    batch: Positive | None = None
    epochs: Positive | None = None
    seed: Seed | None = None
    data: str | None = None
    data_root: str | None = None


class Table(msgspec.Struct, forbid_unknown_fields=True):
    """How an input lay in a text table."""

    columns: list[str]
    """Their names; empty where the file has no header."""
    separator: Annotated[str, msgspec.Meta(min_length=1, max_length=1)]


class Input(msgspec.Struct, forbid_unknown_fields=True):
    """An input that a field of the data feeds."""

    field: str
    shape: list[Count]
    steps: list[dict[str, Any]] = []
    """What is done to it outside of training."""
    table: Table | None = None


class Data(msgspec.Struct, forbid_unknown_fields=True):
    """What is kept of a stage's data, by field."""

    class_names: dict[str, list[str]] = {}
    columns: dict[str, list[str]] = {}


class Settings(msgspec.Struct, forbid_unknown_fields=True):
    """``settings.json``."""

    main: str
    """The model file's copy, relative to the folder."""
    net: str | None
    set: dict[str, Any]
    overrides: Overrides
    origin: str | None = None
    """The folder of the original model file."""
    seed: Seed = 0
    stages: list[dict[str, Any]] = []
    """For people: every setting with its defaults."""
    data: dict[str, Data] = {}
    """By the names of the stages."""
    inputs: dict[str, Input] = {}
    class_names: dict[str, list[str]] = {}
    run: str = ""
    """Names the run, so that its checkpoints are told from those of others."""
    graphdl: str = ""
    python: str = ""


class HeldOut(msgspec.Struct, forbid_unknown_fields=True):
    """What was measured on held-out data after an epoch."""

    split: str
    loss: Number
    losses: dict[str, Number]
    metrics: dict[str, Number]


class Record(msgspec.Struct, forbid_unknown_fields=True):
    """A line of ``metrics.jsonl``."""

    kind: Literal["epoch", "steps"]
    stage: str
    epoch: Positive
    step: Count
    """Of the stage."""
    loss: Number
    metrics: dict[str, Number]
    lr: Number
    losses: dict[str, Number] = {}
    examples_per_second: Time = 0.0
    seconds: Time = 0.0
    held_out: HeldOut | None = None
    best: bool = False


class Sums(msgspec.Struct, forbid_unknown_fields=True):
    """Reports of steps, added up."""

    values: list[Number] = []
    count: Count = 0


class Position(msgspec.Struct, forbid_unknown_fields=True):
    """How far a run has come: all that continues it, beside the variables."""

    stage: Count = 0
    epoch: Count = 0
    batch: Count = 0
    """The next one of the epoch."""
    step: Count = 0
    """The next one of the stage."""
    draws: Count = 0
    """Steps of the whole run."""
    epoch_sums: Sums = msgspec.field(default_factory=Sums)
    """Of the running epoch."""
    interval_sums: Sums = msgspec.field(default_factory=Sums)
    """Since the last line of metrics."""
    interval_start: Count = 0
    """The step of the last line of metrics."""
    first_loss: Number = None
    """The stage's first loss."""
    best: Number = None
    """The stage's lowest held-out loss."""
    records: Count = 0
    """Lines of metrics."""
    seconds: Time = 0.0


class Resumption(msgspec.Struct, forbid_unknown_fields=True):
    """The metadata of ``last.safetensors``."""

    net: str
    seed: Seed
    run: str
    sources: str
    """A hash of the model's text and hyperparameters."""
    position: Position


Kind = TypeVar("Kind")


def convert(value: Any, kind: type[Kind]) -> Kind:
    """A JSON value as one of the kinds above.

    Raises:
        ValueError: an entry is missing, unknown, of the wrong type or out of range; the message names it.
    """
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        reason, _, place = str(error).partition(" - at `$")
        raise ValueError(_worded(reason, place.rstrip("`").lstrip("."))) from None


def _worded(reason: str, entry: str) -> str:
    """The library's complaint with the whole name of the entry."""
    inner = re.search(r"field `(.*)`$", reason)
    if inner is not None:
        whole = f"{entry}.{inner[1]}" if entry else inner[1]
        return f"the entry '{whole}' is {'missing' if 'missing' in reason else 'unknown'}"
    reason = reason.replace("Expected", "expected", 1).replace("`", "")
    return f"the entry '{entry}': {reason}" if entry else reason


def read(text: bytes, kind: type[Kind]) -> tuple[dict[str, Any], Kind]:
    """A JSON text: its entries, and as one of the kinds above.

    Raises:
        ValueError: it is no JSON, or an entry is wrong; the message names it.
    """
    value = strict_json.decode(text)
    return value, convert(value, kind)


def plain(value: msgspec.Struct) -> Any:
    """One of the kinds above as a JSON value."""
    return msgspec.to_builtins(value)
