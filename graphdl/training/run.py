"""The folder of a run: the model's text, its settings, its metrics and its checkpoints."""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import graphdl
from graphdl.diagnostics import Diagnostic, ModelError
from graphdl.source import Source
from graphdl.training.checkpoint import Checkpoint, save, write_atomically
from graphdl.training.curves import page

SETTINGS = "settings.json"
METRICS = "metrics.jsonl"
BEST = "best.safetensors"
LAST = "last.safetensors"
CURVES = "curves.html"
_SOURCES = "model"


@dataclass
class RunFolder:
    """A run folder on disk. ``settings`` is what ``settings.json`` holds: JSON values."""

    path: Path
    settings: dict[str, Any]
    records: list[dict[str, Any]] = field(default_factory=list)
    """The lines of ``metrics.jsonl``."""

    @property
    def main(self) -> Path:
        """The model file's copy; what it imports lies beside it."""
        return self.path / str(self.settings["main"])

    @property
    def best(self) -> Path:
        return self.path / BEST

    @property
    def last(self) -> Path:
        return self.path / LAST

    @property
    def sources(self) -> str:
        """A hash of the model's text and of the hyperparameters that were set: what a checkpoint belongs to."""
        digest = hashlib.sha256(json.dumps([self.settings["net"], self.settings["set"]], sort_keys=True).encode())
        for file in sorted((self.path / _SOURCES).rglob("*.net")):
            digest.update(file.relative_to(self.path).as_posix().encode() + b"\0" + file.read_bytes() + b"\0")
        return digest.hexdigest()

    def record(self, record: dict[str, Any]) -> None:
        """Adds a line to ``metrics.jsonl``."""
        self.records.append(record)
        with (self.path / METRICS).open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")

    def rewind(self, count: int) -> None:
        """Drops the lines that were written after a checkpoint: they will come again."""
        self.records = _records(self.path / METRICS)[:count]
        text = "".join(json.dumps(record) + "\n" for record in self.records)
        write_atomically(self.path / METRICS, text.encode())

    def save_last(self, checkpoint: Checkpoint) -> None:
        """Writes ``last.safetensors``, whole or not at all."""
        save(self.last, checkpoint)

    def save_best(self, checkpoint: Checkpoint) -> None:
        """Writes ``best.safetensors``, whole or not at all."""
        save(self.best, checkpoint)

    def draw(self) -> None:
        """Writes ``curves.html``."""
        write_atomically(self.path / CURVES, page(self.path.name, self.records).encode())


def create(path: Path, sources: Sequence[Source], settings: Mapping[str, Any]) -> RunFolder:
    """A new run folder with the files of a model, the main one first.

    Raises:
        ModelError: E0618, the folder is there and not empty.
        OSError: it cannot be written.
    """
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        is_run = (path / SETTINGS).is_file()
        raise ModelError(
            Diagnostic(
                "E0618",
                f"{path} {'holds a run' if is_run else 'exists and is no empty folder'}",
                help=f"continue it with --resume {path}, or name another folder" if is_run else "name another folder",
            )
        )
    path.mkdir(parents=True, exist_ok=True)
    names = _places(sources)
    for source, name in zip(sources, names, strict=True):
        file = path / _SOURCES / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(source.text, encoding="utf-8")
    whole = {
        **settings,
        "main": f"{_SOURCES}/{names[0]}",
        "graphdl": graphdl.__version__,
        "python": platform.python_version(),
    }
    write_atomically(path / SETTINGS, (json.dumps(whole, indent=2) + "\n").encode())
    return RunFolder(path, whole)


def open_run(path: Path) -> RunFolder:
    """A run folder that is there.

    Raises:
        ModelError: E0618, it is no run folder, or a part of it is missing or damaged.
    """
    try:
        settings = json.loads((path / SETTINGS).read_text("utf-8"))
        if not isinstance(settings, dict) or not all(key in settings for key in ("main", "net", "set", "overrides")):
            raise ValueError("it lacks an entry")
        folder = RunFolder(path, settings)
        if not folder.main.is_file():
            raise ModelError(Diagnostic("E0618", f"{path} has lost its model file {settings['main']}"))
    except OSError as error:
        raise ModelError(
            Diagnostic(
                "E0618",
                f"{path} is no run folder: {SETTINGS} cannot be read ({error.strerror or error})",
                help="a run folder is what 'graphdl train --out' writes",
            )
        ) from error
    except (ValueError, TypeError) as error:
        raise ModelError(Diagnostic("E0618", f"{path / SETTINGS} is damaged ({error})")) from error
    folder.records = _records(path / METRICS)
    return folder


def _records(path: Path) -> list[dict[str, Any]]:
    """The whole lines of a file of JSON lines: a run that was killed may have left half a line at the end."""
    records = []
    if path.is_file():
        for line in path.read_text("utf-8", errors="replace").splitlines():
            try:
                records.append(json.loads(line))
            except ValueError:
                break
    return records


def _places(sources: Sequence[Source]) -> list[str]:
    """Where each file goes, so that they stand to each other as they did."""
    paths = [source.path for source in sources]
    known = [path for path in paths if path is not None]
    root = os.path.commonpath([os.path.dirname(path) for path in known]) if known else ""
    return ["model.net" if path is None else Path(os.path.relpath(path, root)).as_posix() for path in paths]
