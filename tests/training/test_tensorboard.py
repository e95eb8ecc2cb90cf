"""Event files: checksums, records and messages against known bytes, and read back by a reader of their own."""

from __future__ import annotations

import struct

import pytest

from graphdl.training.loop import Observer
from graphdl.training.tensorboard import EventFiles, crc32c, event, framed


@pytest.mark.parametrize(
    ("data", "checksum"),
    [(b"", 0), (b"123456789", 0xE3069283), (bytes(32), 0x8A9136AA), (b"\xff" * 32, 0x62A8AB43)],
)
def test_the_checksum_is_castagnolis(data, checksum):
    """The vectors of RFC 3720, appendix B.4."""
    assert crc32c(data) == checksum


def test_an_event_is_the_protocol_buffer_that_tensorboard_reads():
    assert event(1.5, 300, {"a": 2.0}) == (
        b"\x09" + struct.pack("<d", 1.5) + b"\x10\xac\x02\x2a\x0a\x0a\x08\x0a\x01a\x15" + struct.pack("<f", 2.0)
    )


def record(kind: str, stage: str, step: int, loss: float, **more: object) -> dict[str, object]:
    return {"kind": kind, "stage": stage, "step": step, "loss": loss, "lr": 0.1, "metrics": {"accuracy": 0.5}, **more}


def messages(path) -> list[bytes]:
    """The records of a file, their checksums verified."""
    data, found = path.read_bytes(), []
    while data:
        (length,) = struct.unpack("<Q", data[:8])
        assert data[: 12 + length + 4] == framed(data[12 : 12 + length])
        found.append(data[12 : 12 + length])
        data = data[12 + length + 4 :]
    return found


def test_the_numbers_of_a_run_are_written_as_they_come(tmp_path):
    heard = []

    class Listening(Observer):
        def record(self, record):
            heard.append(record)

    held_out = {"split": "test", "loss": 0.25, "metrics": {"accuracy": 0.75}}
    files = EventFiles(tmp_path / "events", Listening(), [record("epoch", "first", 40, 1.0)])
    files.record(record("epoch", "first", 50, 0.5, held_out=held_out))
    files.record(record("step", "second", 10, float("nan")))
    files.close()
    assert [each["step"] for each in heard] == [50, 10]
    (path,) = (tmp_path / "events").iterdir()
    assert path.name.startswith("events.out.tfevents.")
    version, first, second = messages(path)
    assert version.endswith(b"brain.Event:2")
    for tag in (b"learning_rate", b"loss/training", b"accuracy/training", b"loss/test", b"accuracy/test"):
        assert tag in first
    assert struct.pack("<f", 0.75) in first
    assert first[9:11] == b"\x10\x32"
    assert second[9:11] == b"\x10\x3c"  # 50 steps of the first stage, then 10
    assert b"loss/" not in second


def test_a_run_that_writes_nothing_leaves_no_file(tmp_path):
    files = EventFiles(tmp_path / "events", Observer())
    files.close()
    assert not (tmp_path / "events").exists()
