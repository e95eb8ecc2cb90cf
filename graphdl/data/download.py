"""Downloads of official archives: only on request, verified, and atomic."""

from __future__ import annotations

import hashlib
import http.client
import os
import secrets
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from graphdl.diagnostics import Diagnostic, ModelError
from graphdl.source import Span

_CHUNK = 1 << 20
_TIMEOUT = 30.0
"""Seconds without data after which a mirror is abandoned."""


@dataclass(frozen=True)
class Archive:
    """A file as published by its authors."""

    name: str
    size: int
    sha256: str
    mirrors: tuple[str, ...]
    """Base addresses, tried in order. Each ends in a slash."""


class Readable(Protocol):
    """A binary stream to read from."""

    def read(self, count: int = -1, /) -> bytes: ...


class _RefusedError(Exception):
    """A mirror did not deliver the file. The message says why."""


def fetch(archive: Archive, folder: Path, *, mirrors: Sequence[str] | None = None, span: Span | None = None) -> Path:
    """Downloads an archive into ``folder`` and returns its path.

    The file gets its name only when it is complete and its SHA-256 is right. ``mirrors`` replace the archive's own
    addresses.

    Raises:
        ModelError: E0708, no mirror delivered the file, or it cannot be written. The notes have the error of each
            mirror.
    """
    target = folder / archive.name
    failures = []
    for mirror in archive.mirrors if mirrors is None else mirrors:
        address = mirror + archive.name
        try:
            _fetch_from(address, archive, target)
        except _RefusedError as refusal:
            failures.append(f"{address}: {refusal}")
        except OSError as error:
            raise ModelError(
                Diagnostic("E0708", f"{target} cannot be written: {error.strerror or error}", span)
            ) from error
        else:
            return target
    raise ModelError(
        Diagnostic(
            "E0708",
            f"{archive.name} could not be downloaded",
            span,
            notes=tuple(failures),
            help=f"get the file by other means and put it into {folder}",
        )
    )


def write_atomically(target: Path, content: Readable) -> None:
    """Copies a stream to a file atomically: the file appears complete or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.{secrets.token_hex(8)}.part")
    try:
        with part.open("xb") as file:
            while chunk := content.read(_CHUNK):
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
        part.replace(target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


class _Verified:
    """A response as a stream that raises an error unless its size and checksum are those of the archive."""

    def __init__(self, response: Readable, archive: Archive) -> None:
        self._response = response
        self._archive = archive
        self._digest = hashlib.sha256()
        self._size = 0

    def read(self, count: int = -1, /) -> bytes:
        try:
            chunk = self._response.read(count)
        except (OSError, http.client.HTTPException) as error:
            raise _RefusedError(f"broke off after {self._size} of {self._archive.size} bytes ({error})") from error
        self._size += len(chunk)
        self._digest.update(chunk)
        if self._size > self._archive.size:
            raise _RefusedError(f"sent more than the expected {self._archive.size} bytes")
        if not chunk:
            if self._size < self._archive.size:
                raise _RefusedError(f"broke off after {self._size} of {self._archive.size} bytes")
            if self._digest.hexdigest() != self._archive.sha256:
                raise _RefusedError(
                    f"sent another file: its SHA-256 is {self._digest.hexdigest()}, expected {self._archive.sha256}"
                )
        return chunk


def _fetch_from(address: str, archive: Archive, target: Path) -> None:
    request = urllib.request.Request(address, headers={"User-Agent": "graphdl"})
    try:
        response = urllib.request.urlopen(request, timeout=_TIMEOUT)
    except urllib.error.HTTPError as error:
        error.close()
        raise _RefusedError(f"HTTP {error.code} {error.reason}") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise _RefusedError(str(getattr(error, "reason", error))) from error
    with response:
        write_atomically(target, _Verified(response, archive))
