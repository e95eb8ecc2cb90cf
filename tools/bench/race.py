"""Contestants in processes of their own, which take turns."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import asdict
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from worker import Order

TURN = 0.3
"""Seconds of a turn, unless one step takes longer."""
PAUSE = 0.02
"""Seconds between turns: the threads of who has just run go on waiting for work for a moment."""
MOST_STEPS = 1000


class ContestantError(Exception):
    """A contestant is not installed, failed, or took too long. The message is one line."""


class Contestant:
    """A process that prepares an order, then runs as many steps as it is told. ``facts`` is its first answer."""

    def __init__(self, order: Order, limit: float, environment: Mapping[str, str] | None = None) -> None:
        """Starts to prepare; ``limit`` bounds that and each turn, in seconds.

        Raises:
            ContestantError: it is not installed, failed, or took too long.
        """
        self._limit = limit
        self._log = tempfile.TemporaryFile()  # noqa: SIM115
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).parent / "worker.py")], text=True, stderr=self._log,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, **(environment or {})},
        )  # fmt: skip
        try:
            self.facts: dict[str, Any] = self._ask(asdict(order))
            for problem in ("missing", "failed"):
                if problem in self.facts:
                    raise ContestantError(self.facts[problem])
        except BaseException:
            self.close()
            raise

    def seconds(self, steps: int) -> float:
        """The seconds that these steps take, together."""
        return float(self._ask(steps))

    def close(self) -> None:
        """Ends the process."""
        self._process.kill()
        self._process.communicate()
        self._log.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self.close()

    def _ask(self, question: object) -> Any:
        given, taken = self._process.stdin, self._process.stdout
        assert given is not None
        assert taken is not None
        try:
            print(json.dumps(question), file=given, flush=True)
            ready, _, _ = select.select([taken], [], [], self._limit)
            line = taken.readline() if ready else ""
        except BrokenPipeError:
            line, ready = "", [taken]
        if not line:
            raise ContestantError(self._last_words() if ready else f"it took more than {self._limit:.0f} s")
        return json.loads(line)

    def _last_words(self) -> str:
        self._log.seek(0)
        lines = self._log.read().decode("utf-8", "replace").strip().splitlines()
        return lines[-1] if lines else f"it ended with {self._process.wait()}"


def race(orders: Mapping[str, Order], rounds: int, seconds: float, limit: float) -> dict[str, Any]:
    """Lets all take turns, a round after the other, until ``rounds`` are over or ``seconds`` have passed.

    One round is always run. The order of the turns changes from round to round. Returns the facts of the first, the
    seconds of a step of each in every round, and why others are missing; a contestant that fails later is missing, too.

    Raises:
        ContestantError: the first contestant does not run.
    """
    first = next(iter(orders))
    running: dict[str, Contestant] = {}
    steps: dict[str, int] = {}
    found: dict[str, list[float]] = {}
    missing: dict[str, str] = {}

    with ExitStack() as stack:

        def attempt(name: str, act: Callable[[], None]) -> None:
            """Lets a contestant act, and drops it if it fails."""
            try:
                act()
            except ContestantError as error:
                if name == first:
                    raise
                missing[name] = str(error)
                found.pop(name, None)

        def prepare(name: str) -> None:
            running[name] = stack.enter_context(Contestant(orders[name], limit))
            running[name].seconds(1)
            steps[name] = max(1, min(MOST_STEPS, round(TURN / running[name].seconds(1))))
            found[name] = []

        def turn(name: str) -> None:
            time.sleep(PAUSE)
            found[name].append(running[name].seconds(steps[name]) / steps[name])

        for name in orders:
            attempt(name, partial(prepare, name))
        end = time.perf_counter() + seconds
        for number in range(rounds):
            if number and time.perf_counter() > end:
                break
            for name in list(found)[:: -1 if number % 2 else 1]:
                attempt(name, partial(turn, name))
        return {"facts": running[first].facts, "seconds": found, "missing": missing}
