"""A short run of the fuzzer, and that it sees what it looks for."""

from __future__ import annotations

import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from graphdl.source import Source

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))

import fuzz


def test_some_inputs() -> None:
    failures: list[str] = []
    valid, _ = fuzz.run(range(125), 7, lambda number, source, complaint: failures.append(f"{number}: {complaint}"))
    assert failures == []
    assert valid > 10  # else the mutations are too wild to reach the later stages


def test_inputs_can_be_made_again() -> None:
    assert [fuzz.make(3, n).text for n in range(6)] == [fuzz.make(3, n).text for n in range(6)]
    assert len({fuzz.make(3, n).text for n in range(40)}) == 40


def test_a_traceback_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(source: Source) -> None:
        raise KeyError("missing")

    monkeypatch.setattr(fuzz, "check", broken)
    complaint, _ = fuzz.trial(Source("a.net", ""))
    assert complaint is not None
    assert "KeyError: 'missing'" in complaint


def test_a_hang_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def hanging(source: Source) -> None:
        while True:
            with suppress(Exception):
                time.process_time()

    monkeypatch.setattr(fuzz, "check", hanging)
    assert fuzz.trial(Source("a.net", ""), seconds=0.05) == ("takes more than 0.05 s", False)


def test_a_format_that_changes_the_network_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    source = Source("a.net", "net n() {\n    input x: [3]\n    output y = x -> linear(4)\n}\n")
    assert fuzz.trial(source) == (None, True)
    monkeypatch.setattr(fuzz, "format_source", lambda s: s.text.replace("4", "5"))
    assert fuzz.trial(source) == ("the formatted text is another network", True)
    monkeypatch.setattr(fuzz, "format_source", lambda s: s.text + "\n")
    assert fuzz.trial(source) == ("formatting twice is not formatting once", True)


def test_hostile_shapes_are_within_the_bounds() -> None:
    failures: list[str] = []
    numbers = range(0, 80, 4)
    _, extremes = fuzz.run(numbers, 11, lambda number, source, complaint: failures.append(f"{number}: {complaint}"))
    assert failures == []
    assert 0 < extremes.seconds < fuzz.SECONDS
    assert 0 <= extremes.megabytes < fuzz.MEGABYTES
    assert extremes.slowest in numbers
    assert extremes.largest in numbers


def test_too_much_memory_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fuzz, "MEGABYTES", 20)
    kept: list[bytes] = []
    monkeypatch.setattr(fuzz, "check", lambda source, **settings: kept.append(bytes([1]) * 2**25) or [])
    failures: list[str] = []
    fuzz.run(range(1), 11, lambda number, source, complaint: failures.append(complaint))
    assert failures == ["takes more than 20 MB"]


def test_a_message_that_steers_the_terminal_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fuzz, "render", lambda diagnostic, color: "\x1b[2J")
    assert fuzz.trial(Source("a.net", "let a = b"))[0] == "a message holds what could steer a terminal"
