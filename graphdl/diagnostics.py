"""Complaints about a user's model or data: what they hold, how they are gathered and raised.

A code is ``E`` (error) or ``W`` (warning) and four digits; the first two name the family:
``01`` syntax, ``02`` names, ``03`` types and values, ``04`` shapes, ``05`` graph, ``06`` numbers and training,
``07`` data, ``08`` devices.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from graphdl.source import Span


@dataclass(frozen=True)
class Label:
    """A place that a diagnostic points at, with a few words under it."""

    span: Span
    text: str = ""


@dataclass(frozen=True)
class Diagnostic:
    """One complaint. ``span`` is the culprit; ``labels`` are further places (the other shape's producer, say)."""

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
    """The model or the data is at fault. Carries every diagnostic of the run, in source order."""

    def __init__(self, *diagnostics: Diagnostic) -> None:
        self.diagnostics = diagnostics
        super().__init__("\n".join(_one_line(d) for d in diagnostics))


class DeviceError(Exception):
    """The device or the machine is at fault (exit code 3). The message says what to do about it.

    ``code`` is one of ``E08``, where ``graphdl explain`` has more to say.
    """

    def __init__(self, message: str, code: str | None = None) -> None:
        self.code = code
        super().__init__(message)


def _one_line(diagnostic: Diagnostic) -> str:
    place = f"{diagnostic.span}: " if diagnostic.span is not None else ""
    return f"{place}{diagnostic.code}: {diagnostic.message}"
