"""The folder of a run: the text of the model, the settings, the metrics and the checkpoints."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import secrets
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import graphdl
from graphdl import strict_json
from graphdl.diagnostics import Diagnostic, ModelError
from graphdl.source import Source
from graphdl.training import schema
from graphdl.training.checkpoint import PART, Checkpoint, load, save, write_atomically
from graphdl.training.claim import LOCK
from graphdl.training.curves import page

SETTINGS = "settings.json"
METRICS = "metrics.jsonl"
BEST = "best.safetensors"
LAST = "last.safetensors"
CURVES = "curves.html"
TENSORBOARD = "tensorboard"
TIMINGS = ("seconds", "examples_per_second")
"""The entries of a record that are measured with a clock. All other entries are equal in two runs
of the same settings.
"""
_SOURCES = "model"
_STAGING = f".new{PART}"


@dataclass
class RunFolder:
    """A run folder on disk. ``settings`` is the content of ``settings.json``, which fits ``schema.Settings``."""

    path: Path
    settings: dict[str, Any]
    records: list[dict[str, Any]] = field(default_factory=list)
    """The lines of ``metrics.jsonl``."""

    @property
    def main(self) -> Path:
        """The copy of the model file. Its imports are copied beside it."""
        return self.path / str(self.settings["main"])

    @property
    def sources_folder(self) -> Path:
        """The folder of the copies of the model's files."""
        return self.path / _SOURCES

    @property
    def best(self) -> Path:
        return self.path / BEST

    @property
    def last(self) -> Path:
        return self.path / LAST

    @property
    def sources(self) -> str:
        """A hash of the model's text and of the hyperparameters that were set. Checkpoints refer to it."""
        digest = hashlib.sha256(json.dumps([self.settings["net"], self.settings["set"]], sort_keys=True).encode())
        for file in sorted((self.path / _SOURCES).rglob("*.net")):
            digest.update(file.relative_to(self.path).as_posix().encode() + b"\0" + file.read_bytes() + b"\0")
        return digest.hexdigest()

    def record(self, record: dict[str, Any]) -> None:
        """Appends a line to ``metrics.jsonl``."""
        self.records.append(record)
        with (self.path / METRICS).open("a", encoding="utf-8") as file:
            file.write(strict_json.encode(record) + "\n")

    def rewind(self, count: int) -> None:
        """Drops the lines that were written after a checkpoint. They will be written again.

        Raises:
            ModelError: E0618, the checkpoint counts more lines than there are.
        """
        records = _records(self.path / METRICS)
        if len(records) < count:
            raise ModelError(
                Diagnostic("E0618", f"{self.path / METRICS} has lost lines: {len(records)} of {count} are there")
            )
        self.records = records[:count]
        text = "".join(strict_json.encode(record) + "\n" for record in self.records)
        write_atomically(self.path / METRICS, text.encode())

    def load(self, file: Path) -> Checkpoint:
        """Reads a checkpoint of this run.

        Raises:
            ModelError: E0616, it is missing or damaged; E0618, it belongs to another run.
        """
        found = load(file)
        if found.metadata.get("run", "") != self.settings.get("run", ""):
            raise ModelError(
                Diagnostic(
                    "E0618",
                    f"{file} belongs to another run than {self.path}",
                    help="weights of another run are named with --weights",
                )
            )
        return found

    def save_last(self, checkpoint: Checkpoint) -> None:
        """Writes ``last.safetensors`` atomically, after the lines of metrics that it counts."""
        if (self.path / METRICS).is_file():
            with (self.path / METRICS).open("rb+") as file:
                os.fsync(file.fileno())
        save(self.last, checkpoint)

    def save_best(self, checkpoint: Checkpoint) -> None:
        """Writes ``best.safetensors`` atomically."""
        save(self.best, checkpoint)

    def draw(self) -> None:
        """Writes ``curves.html``."""
        write_atomically(self.path / CURVES, page(self.path.name, self.records).encode())


def create(path: Path, sources: Sequence[Source], settings: Mapping[str, Any]) -> RunFolder:
    """Creates a run folder with the files of a model, the main one first.

    The content is assembled in a subfolder, so that the leftovers of a killed process can be told from a user's files.

    Raises:
        ModelError: E0618, the folder exists and is not empty.
        OSError: it cannot be written.
    """
    refuse_taken(path)
    discard(path)
    path.mkdir(parents=True, exist_ok=True)
    staging = path / _STAGING
    names = _places(sources)
    for source, name in zip(sources, names, strict=True):
        file = staging / _SOURCES / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(source.text, encoding="utf-8")
    whole = {
        **settings,
        "main": f"{_SOURCES}/{names[0]}",
        "run": secrets.token_hex(8),
        "graphdl": graphdl.__version__,
        "python": platform.python_version(),
    }
    write_atomically(staging / SETTINGS, (strict_json.encode(whole, indent=2) + "\n").encode())
    os.replace(staging / _SOURCES, path / _SOURCES)
    os.replace(staging / SETTINGS, path / SETTINGS)
    staging.rmdir()
    return RunFolder(path, whole)


def refuse_taken(path: Path) -> None:
    """Raises ModelError (E0618) unless the path is free, an empty folder, or a folder whose
    creation was interrupted.
    """
    if not path.exists() or (path.is_dir() and _is_half_made(path)):
        return
    is_run = (path / SETTINGS).is_file()
    raise ModelError(
        Diagnostic(
            "E0618",
            f"{path} {'holds a run' if is_run else 'exists and is no empty folder'}",
            help=f"continue it with --resume {path}, or name another folder" if is_run else "name another folder",
        )
    )


def discard(path: Path) -> None:
    """Removes the files that a run has written to its folder."""
    if not path.is_dir():
        return
    (path / _STAGING).mkdir(exist_ok=True)  # it marks the rest as incomplete until everything is removed
    for name in (SETTINGS, METRICS, BEST, LAST, CURVES):
        (path / name).unlink(missing_ok=True)
    for name in (_SOURCES, TENSORBOARD):
        shutil.rmtree(path / name, ignore_errors=True)
    tidy(path)


def tidy(path: Path) -> None:
    """Removes incomplete files of a killed process from a run folder."""
    for file in path.glob(f".*{PART}"):
        if file.is_dir():
            shutil.rmtree(file, ignore_errors=True)
        else:
            file.unlink(missing_ok=True)


def open_run(path: Path) -> RunFolder:
    """Opens an existing run folder.

    Raises:
        ModelError: E0618, it is not a run folder, or a part of it is missing or damaged.
    """
    try:
        values, settings = schema.read((path / SETTINGS).read_bytes(), schema.Settings)
        _check_main(path, settings.main)
    except OSError as error:
        if path.is_dir() and any(path.iterdir()) and _is_half_made(path):
            raise ModelError(
                Diagnostic("E0618", f"the run in {path} was ended before it began", help=f"train with --out {path}")
            ) from None
        raise ModelError(
            Diagnostic(
                "E0618",
                f"{path} is no run folder: {SETTINGS} cannot be read ({error.strerror or error})",
                help="a run folder is what 'graphdl train --out' writes",
            )
        ) from error
    except ValueError as error:
        raise _damaged(path / SETTINGS, error) from error
    return RunFolder(path, values, _records(path / METRICS))


def _check_main(path: Path, main: str) -> None:
    """Checks the entry ``main`` of the settings.

    Raises:
        ModelError: E0618, there is no such file.
        ValueError: the file is not among the run's copies.
    """
    folder = os.path.realpath(path / _SOURCES)
    if "\0" in main or os.path.commonpath([os.path.realpath(path / main), folder]) != folder:
        raise ValueError(f"the entry 'main': {main!r} does not lie in {_SOURCES}/")
    if not (path / main).is_file():
        raise ModelError(Diagnostic("E0618", f"{path} has lost its model file {main}"))


def _is_half_made(path: Path) -> bool:
    """Whether a folder contains only files that are written before the settings."""
    names = {file.name for file in path.iterdir()} - {LOCK}
    known = {_STAGING, _SOURCES} if _STAGING in names else set()
    return names <= known


def _records(path: Path) -> list[dict[str, Any]]:
    """The lines of the metrics. A last line without its end is ignored: a killed process may have written a part of it.

    Raises:
        ModelError: E0618, a line is damaged.
    """
    try:
        lines = path.read_bytes().split(b"\n")[:-1]
    except FileNotFoundError:
        return []
    records = []
    for number, line in enumerate(lines, 1):
        try:
            records.append(schema.read(line, schema.Record)[0])
        except ValueError as error:
            raise _damaged(path, error, f" in line {number}") from error
    return records


def _damaged(path: Path, error: ValueError, place: str = "") -> ModelError:
    return ModelError(Diagnostic("E0618", f"{path} is damaged{place}: {error}"))


def _places(sources: Sequence[Source]) -> list[str]:
    """The relative paths of the files in the run folder. The files keep their positions relative to each other."""
    paths = [source.path for source in sources]
    known = [path for path in paths if path is not None]
    root = os.path.commonpath([os.path.dirname(path) for path in known]) if known else ""
    return ["model.net" if path is None else Path(os.path.relpath(path, root)).as_posix() for path in paths]
