"""One contestant in a process of its own: it is prepared, then runs as many steps as it is told, over and over.

The first line on standard input is an ``Order`` as JSON; the answer is a line of facts. Every further line is a number
of steps, and the answer the seconds that they took. Whatever libraries print goes to standard error.
"""

from __future__ import annotations

import time

BEGIN = time.perf_counter()

import importlib  # noqa: E402
import json  # noqa: E402
import os  # noqa: E402
import sys  # noqa: E402
from collections.abc import Callable  # noqa: E402
from dataclasses import dataclass, field  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402


@dataclass(frozen=True)
class Order:
    """What to prepare. ``work`` is a function of the contestant's module."""

    contestant: str
    work: str
    row: str
    batch: int
    threads: int
    device: str | None = None
    """OpenCL's, as ``graphdl train --device``."""
    gpu: bool = False
    """Whether that is a GPU. PyTorch then uses one, too."""
    channels_last: bool = False
    compiled: bool = False


@dataclass(frozen=True)
class Runner:
    """``run(steps)`` returns when the last result has arrived."""

    run: Callable[[int], None]
    facts: dict[str, Any] = field(default_factory=dict)


def resident(peak: bool = False) -> int:
    """Bytes of this process in memory, now or at most; 0 where the system does not say."""
    wanted = "VmHWM:" if peak else "VmRSS:"
    path = Path("/proc/self/status")
    lines = path.read_text().splitlines() if path.exists() else []
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(wanted)), 0)


def forget_peak() -> None:
    """From here on ``resident(peak=True)`` counts anew."""
    path = Path("/proc/self/clear_refs")
    if path.exists():
        path.write_text("5")


def prepared(order: Order) -> tuple[Runner, dict[str, Any]]:
    """The runner after its first step, and its facts."""
    module = importlib.import_module(f"run_{order.contestant}")
    before = resident()
    forget_peak()
    runner: Runner = getattr(module, order.work)(order)
    runner.run(1)
    facts = {**runner.facts, "first_step": time.perf_counter() - BEGIN}
    runner.run(2)
    return runner, {**facts, "growth": resident(peak=True) - before}


def main() -> None:
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def answer(value: object) -> None:
        print(json.dumps(value), file=answers, flush=True)

    order = Order(**json.loads(sys.stdin.readline()))
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: order.threads])
    try:
        runner, facts = prepared(order)
    except ModuleNotFoundError as error:
        answer({"missing": f"{error.name} is not installed"})
        return
    except Exception as error:
        answer({"failed": f"{type(error).__name__}: {error}"})
        raise
    answer(facts)
    for line in sys.stdin:
        steps = json.loads(line)
        begin = time.perf_counter()
        runner.run(steps)
        answer(time.perf_counter() - begin)


if __name__ == "__main__":
    # The contestants import Order and Runner from this file: it is to be the same module for them.
    sys.modules["worker"] = sys.modules["__main__"]
    main()
