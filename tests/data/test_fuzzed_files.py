"""Damaged files of every kind that is read: a complaint comes out or the values do, and the memory stays bounded."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import graphdl

_BASE = 200
"""MiB of a process that has read nothing, and more."""


@pytest.mark.parametrize("count", [900, pytest.param(20_000, marks=pytest.mark.slow)])
def test_only_complaints_come_out_of_damaged_files(count):
    environment = {**os.environ, "PYTHONPATH": str(Path(graphdl.__file__).parent.parent)}
    words = [sys.executable, str(Path(__file__).with_name("fuzzing.py")), str(count), "1"]
    found = subprocess.run(words, capture_output=True, text=True, env=environment)
    assert found.returncode == 0, found.stderr[-4000:]
    outcomes, peak = found.stdout.rsplit(", at most ", 1)
    assert {code for code in ("E0705", "E0709", "E0718") if code in outcomes} == {"E0705", "E0709", "E0718"}
    assert int(peak.split()[0]) < _BASE + 3 * 64
