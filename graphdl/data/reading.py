"""Opening data files, with limits and error messages, for all readers in training and prediction."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from graphdl.diagnostics import Diagnostic, ModelError
from graphdl.source import Span

GIB = 2**30
LIMIT = 1.0
"""The default limit of memory for one file, in GiB."""


@dataclass(frozen=True)
class Reading:
    """The context of a reader of files: the setting for error messages, and the limit of memory for a file."""

    span: Span | None = None
    """The setting in the model file."""
    limit: float = LIMIT
    """The limit for one file, in GiB."""

    def error(self, code: str, message: str, notes: Sequence[str] = (), help: str | None = None) -> ModelError:
        """An error, to be raised."""
        return ModelError(Diagnostic(code, message, self.span, notes=tuple(notes), help=help))

    def damaged(self, path: Path, reason: str) -> ModelError:
        """The error that a file is damaged: E0705."""
        return self.error("E0705", f"{path} is damaged: {reason}", help="delete the file and get it again")

    def unreadable(self, path: Path, reason: str, help: str | None = None) -> ModelError:
        """The error that a file has an unsupported form: E0705."""
        return self.error("E0705", f"{path} cannot be read: {reason}", help=help)

    def require(self, size: int, what: str) -> None:
        """Checks that ``size`` bytes of memory, needed for ``what``, are within the limit.

        Raises:
            ModelError: E0718, they are not.
        """
        if size > self.limit * GIB:
            needed = f"{size / GIB:{'.3g' if size < 999 * GIB else ',.0f'}} GiB"
            raise self.error(
                "E0718",
                f"{what} takes {needed} of memory, and the limit is {self.limit:g} GiB",
                help=f"if that is right, raise the limit of the data: 'limit = {-(-size // GIB)}' among the arguments "
                "of the data set",
            )

    @contextmanager
    def open(self, path: Path) -> Iterator[BinaryIO]:
        """Opens a regular file for reading. Errors inside the block are reported as well.

        Raises:
            ModelError: E0704, there is no such file; E0705, it is a folder or a device, or cannot be read.
        """
        try:
            with open(path, "rb", opener=_without_waiting) as file:
                if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                    raise self.unreadable(path, "it is a device, not a file")
                yield file
        except FileNotFoundError as error:
            raise self.error("E0704", f"there is no file {path}") from error
        except IsADirectoryError as error:
            raise self.unreadable(path, "it is a folder", help="name the files in it") from error
        except OSError as error:
            raise self.unreadable(path, error.strerror or str(error)) from error


def _without_waiting(path: str, flags: int) -> int:
    """Opens a file without blocking: a pipe without a writer would block, and is refused afterwards."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
