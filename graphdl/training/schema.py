"""The content of a run's files, checked when they are read: settings, lines of metrics, metadata of checkpoints."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, TypeVar

import msgspec

from graphdl import strict_json

_MOST = 2**53
"""The greatest integer that every program that reads JSON represents exactly."""

Count = Annotated[int, msgspec.Meta(ge=0, le=_MOST)]
Positive = Annotated[int, msgspec.Meta(ge=1, le=_MOST)]
Seed = Annotated[int, msgspec.Meta(ge=0)]
Time = Annotated[float, msgspec.Meta(ge=0)]
Number = float | None
"""None stands for NaN and the infinities."""


class Overrides(msgspec.Struct, forbid_unknown_fields=True):
    """The settings of the command line or the caller when the run was started."""

    batch: Positive | None = None
    epochs: Positive | None = None
    seed: Seed | None = None
    data: str | None = None
    data_root: str | None = None


class Table(msgspec.Struct, forbid_unknown_fields=True):
    """The place of an input in a text table."""

    columns: list[str]
    """The names of the columns; empty if the file has no header."""
    separator: Annotated[str, msgspec.Meta(min_length=1, max_length=1)]


class Writing(msgspec.Struct, forbid_unknown_fields=True):
    """The way in which an input was made from text; see ``graphdl.data.vocabulary.Writing``."""

    vocabulary: str
    unit: Literal["char", "word", "piece"]
    lower: bool
    gives: Literal["windows", "tokens", "length", "mask"]
    length: Positive
    column: Count = 0
    begin: bool = False
    end: bool = False
    tokenizer: str | None = None
    is_cut: bool = False


class Sound(msgspec.Struct, forbid_unknown_fields=True):
    """The way in which an input was made from recordings; see ``graphdl.data.dataset.Sound``."""

    rate: Positive
    length: Positive
    gives: Literal["wave", "next", "length", "mask"] = "wave"
    levels: Positive | None = None


class Input(msgspec.Struct, forbid_unknown_fields=True):
    """An input that a field of the data feeds."""

    field: str
    shape: list[Count]
    steps: list[dict[str, Any]] = []
    """The preprocessing outside of training."""
    table: Table | None = None
    writing: Writing | None = None
    sound: Sound | None = None


class Data(msgspec.Struct, forbid_unknown_fields=True):
    """The stored part of a stage's data, by field."""

    class_names: dict[str, list[str]] = {}
    columns: dict[str, list[str]] = {}


class Settings(msgspec.Struct, forbid_unknown_fields=True):
    """The content of ``settings.json``."""

    main: str
    """The copy of the model file, relative to the folder."""
    net: str | None
    set: dict[str, Any]
    overrides: Overrides
    origin: str | None = None
    """The folder of the original model file."""
    seed: Seed = 0
    stages: list[dict[str, Any]] = []
    """For people: every setting with its defaults."""
    data: dict[str, Data] = {}
    """By stage name."""
    inputs: dict[str, Input] = {}
    class_names: dict[str, list[str]] = {}
    run: str = ""
    """Identifies the run, so that its checkpoints can be told from those of others."""
    graphdl: str = ""
    python: str = ""


class HeldOut(msgspec.Struct, forbid_unknown_fields=True):
    """The measurements on held-out data after an epoch."""

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
    """The step of the stage."""
    loss: Number
    metrics: dict[str, Number]
    lr: Number
    losses: dict[str, Number] = {}
    examples_per_second: Time = 0.0
    seconds: Time = 0.0
    held_out: HeldOut | None = None
    best: bool = False
    scale: Number = None
    """The scale of the loss, and the number of skipped steps of the stage; of a stage that scales its loss."""
    skipped: Count = 0


class Sums(msgspec.Struct, forbid_unknown_fields=True):
    """The sum of the reports of several steps."""

    values: list[Number] = []
    count: Count = 0


class Position(msgspec.Struct, forbid_unknown_fields=True):
    """The position of a run: everything beside the variables that is needed to continue it."""

    stage: Count = 0
    epoch: Count = 0
    batch: Count = 0
    """The next batch of the epoch."""
    step: Count = 0
    """The next step of the stage."""
    draws: Count = 0
    """The number of steps of the whole run."""
    epoch_sums: Sums = msgspec.field(default_factory=Sums)
    """The sums of the current epoch."""
    interval_sums: Sums = msgspec.field(default_factory=Sums)
    """The sums since the last line of metrics."""
    interval_start: Count = 0
    """The step of the last line of metrics."""
    first_loss: Number = None
    """The first loss of the stage."""
    best: Number = None
    """The lowest held-out loss of the stage, or the best value of what ``best`` names."""
    records: Count = 0
    """The number of lines of metrics."""
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
    """Converts a JSON value to one of the structures above.

    Raises:
        ValueError: an entry is missing, unknown, of the wrong type or out of range. The message names it.
    """
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        reason, _, place = str(error).partition(" - at `$")
        raise ValueError(_worded(reason, place.rstrip("`").lstrip("."))) from None


def _worded(reason: str, entry: str) -> str:
    """The library's error message with the full name of the entry."""
    inner = re.search(r"field `(.*)`$", reason)
    if inner is not None:
        whole = f"{entry}.{inner[1]}" if entry else inner[1]
        return f"the entry '{whole}' is {'missing' if 'missing' in reason else 'unknown'}"
    reason = reason.replace("Expected", "expected", 1).replace("`", "")
    return f"the entry '{entry}': {reason}" if entry else reason


def read(text: bytes, kind: type[Kind]) -> tuple[dict[str, Any], Kind]:
    """Reads a JSON text. Returns its entries, and the structure of type ``kind``.

    Raises:
        ValueError: the text is not JSON, or an entry is wrong. The message names it.
    """
    value = strict_json.decode(text)
    return value, convert(value, kind)


def plain(value: msgspec.Struct) -> Any:
    """Converts one of the structures above to a JSON value."""
    return msgspec.to_builtins(value)
