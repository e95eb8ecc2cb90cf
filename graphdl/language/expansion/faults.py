"""Errors during expansion: a fault ends one statement, and the next statement is expanded."""

from __future__ import annotations

from collections.abc import Iterable

from graphdl.diagnostics import Diagnostic, Label
from graphdl.source import Span


class Fault(Exception):  # noqa: N818 - a user's fault, not an error of the program
    """An error in the user's text. The statement is abandoned, and the names that it assigns are poisoned."""

    def __init__(
        self,
        code: str,
        message: str,
        span: Span,
        *,
        label: str = "",
        labels: Iterable[Label] = (),
        notes: Iterable[str] = (),
        help: str | None = None,
    ) -> None:
        super().__init__(message)
        self.diagnostic = Diagnostic(code, message, span, label, tuple(labels), tuple(notes), help)


class Poisoned(Exception):  # noqa: N818 - a signal
    """A required value is missing because of a fault that has been reported already. Nothing more is reported."""


class Refused(Poisoned):
    """An assert does not hold: the block that contains it is abandoned."""


class Poison:
    """The value of a name whose statement had a fault."""


POISON = Poison()


class Reporter:
    """Collects the diagnostics of a run. Each is added once, even if several passes find it."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, int, int, str], Diagnostic] = {}
        self._errors: set[tuple[int, int, int]] = set()
        """The source, start and end of each error."""
        self._codes: set[str] = set()

    def copy(self) -> Reporter:
        """A reporter that knows what this one does."""
        copied = Reporter()
        for diagnostic in self._seen.values():
            copied.add(diagnostic)
        return copied

    def add(self, diagnostic: Diagnostic) -> None:
        span = diagnostic.span
        place = (id(span.source), span.start) if span is not None else (0, 0)
        about_names = span is not None and diagnostic.code.startswith("E02")  # at most one error of a kind at one place
        self._seen.setdefault((diagnostic.code, *place, "" if about_names else diagnostic.message), diagnostic)
        self._codes.add(diagnostic.code)
        if diagnostic.is_error and span is not None:
            self._errors.add(_key(span))

    def complained_at(self, span: Span) -> bool:
        """Whether there is an error at this place already."""
        return _key(span) in self._errors

    def has_code(self, *codes: str) -> bool:
        return not self._codes.isdisjoint(codes)

    @property
    def has_errors(self) -> bool:
        return any(code.startswith("E") for code in self._codes)

    def in_order(self, sources: Iterable[object] = ()) -> list[Diagnostic]:
        """The diagnostics by file (those of ``sources`` first, in that order), then by place."""
        files = {id(source): number for number, source in enumerate(sources)}

        def place(diagnostic: Diagnostic) -> tuple[int, str, int]:
            if diagnostic.span is None:
                return -1, "", 0
            source = diagnostic.span.source
            return files.get(id(source), len(files)), source.name, diagnostic.span.start

        return sorted(self._seen.values(), key=place)


def _key(span: Span) -> tuple[int, int, int]:
    return id(span.source), span.start, span.end
