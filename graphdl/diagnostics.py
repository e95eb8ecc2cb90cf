"""Diagnostics about a user's model or data, and the errors that carry them.

A code is ``E`` (error) or ``W`` (warning) and four digits. The first two digits name the family: ``01`` syntax, ``02``
names, ``03`` types and values, ``04`` shapes, ``05`` graph, ``06`` numbers and training, ``07`` data, ``08`` devices,
``09`` ONNX.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from graphdl.source import Span


@dataclass(frozen=True)
class Label:
    """A place to which a diagnostic refers, with a short text."""

    span: Span
    text: str = ""


@dataclass(frozen=True)
class Diagnostic:
    """One error or warning. ``span`` is its place; ``labels`` are further places, such as the producer of the other
    shape.
    """

    code: str
    message: str
    span: Span | None = None
    label: str = ""
    labels: tuple[Label, ...] = ()
    notes: tuple[str, ...] = ()
    help: str | None = None

    @property
    def is_error(self) -> bool:
        return self.code.startswith("E")

    def to_json(self) -> dict[str, Any]:
        """The machine-readable form that ``check --format json`` prints."""
        place: dict[str, Any] = {}
        if self.span is not None:
            end_line, end_column = self.span.source.position(self.span.end)
            place = {
                "file": self.span.source.name,
                "line": self.span.line,
                "column": self.span.column,
                "end_line": end_line,
                "end_column": end_column,
            }
        return {
            "code": self.code,
            "severity": "error" if self.is_error else "warning",
            "message": self.message,
            **place,
            "notes": list(self.notes),
            "help": self.help,
        }


class ModelError(Exception):
    """An error of the model or the data (exit code 1). It contains all diagnostics of the run, in source order."""

    def __init__(self, *diagnostics: Diagnostic) -> None:
        self.diagnostics = diagnostics
        super().__init__("\n".join(_one_line(d) for d in diagnostics))


class DeviceError(Exception):
    """An error of the device or the machine (exit code 3). The message says what to do about it.

    ``code`` is one of ``E08``, for which ``graphdl explain`` has more information.
    """

    def __init__(self, message: str, code: str | None = None) -> None:
        self.code = code
        super().__init__(message)


def _one_line(diagnostic: Diagnostic) -> str:
    place = f"{diagnostic.span}: " if diagnostic.span is not None else ""
    return f"{place}{diagnostic.code}: {diagnostic.message}"
