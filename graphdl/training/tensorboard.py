"""Event files for TensorBoard: the scalars of a run in TensorBoard's format, without its packages.

A file is a sequence of records: length, checksum of the length, data, checksum of the data (TFRecord). The data is a
protocol-buffer message ``Event`` with a wall time, a step, and a ``Summary`` of tagged numbers.
"""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from math import isfinite
from pathlib import Path
from typing import Any, BinaryIO

from graphdl.diagnostics import Diagnostic
from graphdl.training.curves import StepCounter
from graphdl.training.loop import Observer, Status

_CASTAGNOLI = 0x82F63B78
_MASK = 0xA282EAD8


class EventFiles(Observer):
    """Writes events to an event file and forwards them to another observer.

    ``records`` are those of the run before it was continued. They are needed to count steps over all stages.
    """

    def __init__(self, folder: Path, observer: Observer, records: Iterable[Mapping[str, Any]] = ()) -> None:
        self._folder = folder
        self._observer = observer
        self._steps = StepCounter()
        self._file: BinaryIO | None = None
        for record in records:
            self._steps.of(record)

    def warn(self, diagnostic: Diagnostic) -> None:
        self._observer.warn(diagnostic)

    def compiling(self, done: int, total: int) -> None:
        self._observer.compiling(done, total)

    def advance(self, status: Status) -> None:
        self._observer.advance(status)

    def record(self, record: Mapping[str, Any]) -> None:
        self._observer.record(record)
        if self._file is None:
            self._file = self._open()
        step = self._steps.of(record)
        values = {tag: value for tag, value in scalars(record) if value is not None and isfinite(value)}
        self._file.write(framed(event(time.time(), step, values)))
        self._file.flush()

    def close(self) -> None:
        """Closes the file if one was opened."""
        if self._file is not None:
            self._file.close()

    def _open(self) -> BinaryIO:
        self._folder.mkdir(parents=True, exist_ok=True)
        now = time.time()
        name = f"events.out.tfevents.{now:017.6f}.{socket.gethostname()}"
        file = (self._folder / name).open("wb")
        file.write(framed(_double(1, now) + _bytes(3, b"brain.Event:2")))
        return file


def scalars(record: Mapping[str, Any]) -> Iterator[tuple[str, float | None]]:
    """The tagged numbers of a line of metrics: ``loss/training``, ``accuracy/test``, ``learning_rate``."""
    within = "" if record["kind"] == "epoch" else "_within_epoch"
    yield "learning_rate", record["lr"]
    yield f"loss/training{within}", record["loss"]
    for name, value in record.get("metrics", {}).items():
        yield f"{name}/training{within}", value
    held_out = record.get("held_out")
    if held_out:
        yield f"loss/{held_out['split']}", held_out["loss"]
        for name, value in held_out["metrics"].items():
            yield f"{name}/{held_out['split']}", value


def event(wall_time: float, step: int, values: Mapping[str, float]) -> bytes:
    """The message ``Event`` with a summary of simple values."""
    summary = b"".join(_bytes(1, _bytes(1, tag.encode()) + _float(2, value)) for tag, value in values.items())
    return _double(1, wall_time) + _varint(2 << 3) + _varint(step) + _bytes(5, summary)


def framed(data: bytes) -> bytes:
    """A record of a TFRecord file."""
    length = struct.pack("<Q", len(data))
    return length + struct.pack("<I", _masked(length)) + data + struct.pack("<I", _masked(data))


def _masked(data: bytes) -> int:
    checksum = crc32c(data)
    return ((checksum >> 15 | checksum << 17) + _MASK) & 0xFFFFFFFF


def crc32c(data: bytes) -> int:
    """The cyclic redundancy check of Castagnoli et al. (1993), as used in iSCSI."""
    table = _table()
    value = 0xFFFFFFFF
    for byte in data:
        value = table[(value ^ byte) & 0xFF] ^ value >> 8
    return value ^ 0xFFFFFFFF


@cache
def _table() -> tuple[int, ...]:
    entries = []
    for entry in range(256):
        for _ in range(8):
            entry = entry >> 1 ^ (_CASTAGNOLI if entry & 1 else 0)
        entries.append(entry)
    return tuple(entries)


def _varint(value: int) -> bytes:
    parts = bytearray()
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    parts.append(value)
    return bytes(parts)


def _bytes(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(value)) + value


def _double(field: int, value: float) -> bytes:
    return _varint(field << 3 | 1) + struct.pack("<d", value)


def _float(field: int, value: float) -> bytes:
    return _varint(field << 3 | 5) + struct.pack("<f", value)
