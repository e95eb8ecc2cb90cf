"""Runs graphdl's commands for a row, and keeps them for its record."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import Any

from recorded.results import ROOT

import graphdl
from graphdl.model import open_model

PICTURES = ROOT / "models" / "pictures"


class Runner:
    """The commands of one row, in a folder of its own.

    ``commands`` are the commands as a reader would type them, ``seconds`` is their time, ``pictures`` are the names of
    the files that the row drew.
    """

    def __init__(self, scratch: Path, device: str | None = None) -> None:
        self.scratch = scratch
        self.device = device
        self.commands: list[str] = []
        self.pictures: list[str] = []
        self.seconds = 0.0
        self._runs = 0

    def train(self, file: str, *options: str, seed: int = 0) -> Path:
        """Trains a file of ``models/``. Returns the folder of the run."""
        self._runs += 1
        run = self.scratch / f"run{self._runs}"
        shown = ["train", f"models/{file}.net", *options, *(["--seed", str(seed)] if seed else [])]
        self._graphdl([*shown, "--out", str(run), *self._on_device()], f"graphdl {' '.join(map(_quoted, shown))}")
        return run

    def evaluate(self, run: Path, *options: str) -> dict[str, Any]:
        """The losses and metrics of a run's best weights on held-out data."""
        output = self._graphdl(["eval", str(run), "--json", *options, *self._on_device()], "")
        return dict(json.loads(output))

    def epochs(self, run: Path) -> list[dict[str, Any]]:
        """The entries of a run's epochs."""
        entries = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
        return [entry for entry in entries if entry["kind"] == "epoch"]

    def model(self, file: str, **settings: Any) -> graphdl.Model:
        """A model with its initial weights."""
        return graphdl.load(ROOT / "models" / f"{file}.net", device=self.device, **settings)

    def trained(self, run: Path) -> graphdl.Model:
        """The model of a run, with its best weights."""
        return open_model(run, device=self.device)[0]

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Counts what is done in Python as time of the row."""
        start = perf_counter()
        yield
        self.seconds += perf_counter() - start

    def picture(self, name: str) -> Path:
        """The path of a picture of this row, which the gallery shows."""
        PICTURES.mkdir(exist_ok=True)
        self.pictures.append(name)
        return PICTURES / name

    def device_name(self) -> str:
        """The device that the commands ran on."""
        model = self.model("history/mcculloch_pitts")
        return model.network.device.info.name

    def _on_device(self) -> Sequence[str]:
        return ["--device", self.device] if self.device else []

    def _graphdl(self, arguments: Sequence[str], shown: str) -> str:
        start = perf_counter()
        done = subprocess.run(
            [sys.executable, "-m", "graphdl", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
        )
        self.seconds += perf_counter() - start
        if done.returncode != 0:
            raise SystemExit(f"graphdl {' '.join(arguments)}\n{done.stderr}")
        if shown and shown not in self.commands:
            self.commands.append(shown)
        return done.stdout


def _quoted(argument: str) -> str:
    return f"'{argument}'" if set(argument) & set('[]() "*') else argument
