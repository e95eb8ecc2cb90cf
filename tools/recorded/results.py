"""The recorded figures: one entry a row in ``results.json``."""

from __future__ import annotations

import subprocess
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from recorded.runner import Runner

ROOT = Path(__file__).resolve().parents[2]
PATH = Path(__file__).with_name("results.json")


class Figure(msgspec.Struct, frozen=True):
    """One figure: what it is, its value as text, what it should be, and whether it is."""

    what: str
    value: str
    goal: str = ""
    reached: bool | None = None

    def __str__(self) -> str:
        return f"{self.what} {self.value}" + (f" (goal {self.goal})" if self.goal else "")


class Record(msgspec.Struct, frozen=True):
    """What one run of a row gave. ``seconds`` is the time of all its commands."""

    row: str
    figures: list[Figure]
    commands: list[str]
    pictures: list[str]
    seconds: float
    device: str
    machine: str
    when: str
    commit: str

    @classmethod
    def of(cls, row: str, figures: list[Figure], runner: Runner, machine: str) -> Record:
        commit = subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout.strip()
        return cls(
            row, figures, runner.commands, runner.pictures, round(runner.seconds, 1), runner.device_name(), machine,
            f"{datetime.now():%Y-%m-%d}", commit,
        )  # fmt: skip


def read_records() -> dict[str, Record]:
    """The records by row; none if there is no file yet."""
    if not PATH.exists():
        return {}
    return {each.row: each for each in msgspec.json.decode(PATH.read_bytes(), type=list[Record])}


def write_record(record: Record) -> None:
    """Replaces the record of a row."""
    records = read_records() | {record.row: record}
    text = msgspec.json.format(msgspec.json.encode([records[row] for row in sorted(records)]), indent=1)
    PATH.write_bytes(text + b"\n")
