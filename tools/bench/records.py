"""What was measured: a JSON line each, added to a file as soon as it is known."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"

Record = dict[str, Any]
"""``section``, ``row``, ``batch``, ``runtime`` (the OpenCL driver), ``seconds`` of a step in each round by contestant,
``facts`` of graphdl's program, ``missing`` (why contestants are), ``when``, ``commit`` and ``load`` of the machine."""


def machine() -> str:
    """The processor and the number of its threads."""
    model, family = platform.processor() or platform.machine(), ""
    path = Path("/proc/cpuinfo")
    if path.exists():
        text = path.read_text()
        found = [re.search(rf"^{name}\s*: (.*)$", text, re.MULTILINE) for name in ("model name", "cpu family", "model")]
        if all(found):
            model, *numbers = (match[1] for match in found if match)
            family = ", family {} model {}".format(*numbers)
    return f"{model}{family}, {os.cpu_count()} threads"


def file_of(folder: Path, name: str) -> Path:
    """The file of a machine's records; its Markdown has the same name but for the ending."""
    return folder / (re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") + ".jsonl")


def read(file: Path) -> list[Record]:
    """The records of a file, the oldest first."""
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()] if file.exists() else []


def add(file: Path, section: str, row: str, batch: int, runtime: str, found: Record) -> Record:
    """Writes what was found, with the circumstances, and returns the record."""
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], capture_output=True, text=True, cwd=RESULTS.parent
    ).stdout.strip()
    record = {
        "section": section, "row": row, "batch": batch, "runtime": runtime, **found,
        "when": time.strftime("%Y-%m-%d %H:%M", time.gmtime()), "commit": commit,
        "load": [round(load, 1) for load in os.getloadavg()],
    }  # fmt: skip
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a", encoding="utf-8") as lines:
        print(json.dumps(record), file=lines)
    return record


def chosen(records: Iterable[Record], section: str, row: str, batch: int | None = None) -> list[Record]:
    """The records of a row, the oldest first."""
    return [
        record for record in records
        if (record["section"], record["row"]) == (section, row) and batch in (None, record["batch"])
    ]  # fmt: skip


def newest(records: Iterable[Record], runtime: str, contestant: str) -> Record | None:
    """The last record on a runtime that holds this contestant's seconds."""
    found = [r for r in records if r["runtime"] == runtime and contestant in r.get("seconds", {})]
    return found[-1] if found else None
