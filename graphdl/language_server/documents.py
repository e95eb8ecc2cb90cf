"""The files of an editor's session: the open files, their analyses, and the files on disk beside them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from weakref import WeakKeyDictionary

from lsprotocol import types
from pygls import uris

from graphdl.diagnostics import ModelError
from graphdl.language.expansion.files import project_folder, read_source
from graphdl.language.words import normal
from graphdl.language_server.analysis import Analysis, Complain
from graphdl.language_server.text import Positions
from graphdl.source import Source, Span

_MOST_FILES = 2000
"""The most files of a project that are searched for a name."""

_SKIPPED = frozenset(["node_modules", "__pycache__", "build", "dist"])


@dataclass
class Document:
    """An open file. ``analysis`` is that of its text, made on demand."""

    uri: str
    source: Source
    version: int | None = None
    analysis: Analysis | None = None
    good: Analysis | None = None
    """The last analysis without errors. It supplies the shapes while the text has errors."""
    shows_errors: bool = False
    """Whether the editor shows errors of it."""


class Documents:
    """All open files, by their URIs and paths."""

    def __init__(self, complain: Complain | None = None) -> None:
        self.open: dict[str, Document] = {}
        self.folders: list[str] = []
        self.encoding: types.PositionEncodingKind | str = types.PositionEncodingKind.Utf16
        self.complain = complain
        self._positions: WeakKeyDictionary[Source, Positions] = WeakKeyDictionary()

    # ------------------------------------------------------------------------------------------------ open documents

    def put(self, uri: str, text: str, version: int | None) -> Document:
        """Opens a file, or replaces its text."""
        path = path_of(uri)
        name = os.path.basename(path) if path is not None else uri.rpartition("/")[2] or uri
        source = Source(name, text.removeprefix("\ufeff"), path)
        document = self.open.setdefault(uri, Document(uri, source))
        document.source, document.version, document.analysis = source, version, None
        for other in self.open.values():
            if other is not document and path is not None and self._reads(other, path):
                other.analysis = None
        return document

    def forget(self) -> None:
        """Drops the analyses of all open files, after files on disk have changed."""
        for document in self.open.values():
            document.analysis = None

    def remove(self, uri: str) -> None:
        self.open.pop(uri, None)

    def dependents(self, uri: str) -> list[Document]:
        """The other open files that must be analysed again."""
        return [d for d in self.open.values() if d.uri != uri and d.analysis is None]

    @staticmethod
    def _reads(document: Document, path: str) -> bool:
        return document.analysis is None or any(s.source.path == path for s in document.analysis.scopes)

    def analysis(self, uri: str) -> Analysis | None:
        """The analysis of the current text."""
        document = self.open.get(uri)
        if document is None:
            return None
        if document.analysis is None:
            document.analysis = Analysis(document.source, self.read, self.complain, document.good)
            if not document.analysis.is_broken:
                document.good = document.analysis
        return document.analysis

    # --------------------------------------------------------------------------------------------------------- files

    @property
    def texts(self) -> dict[str, Source]:
        """The open files by their paths."""
        return {d.source.path: d.source for d in self.open.values() if d.source.path is not None}

    def read(self, path: str) -> Source:
        """The text of a file in the editor, else that on disk."""
        return self.texts.get(path) or read_source(path)

    def mentioning(self, word: str, near: Source) -> list[Source]:
        """The files of the project that contain a word: the given file, the open ones, then the others."""
        found = {near.path or near.name: near}
        for document in self.open.values():
            if word in normal(document.source.text):
                found.setdefault(document.source.path or document.uri, document.source)
        for path in self._project(near):
            if path not in found:
                try:
                    source = self.read(path)
                except ModelError:
                    continue
                if word in normal(source.text):
                    found[path] = Source(os.path.basename(path), source.text, path)
        return list(found.values())

    def _project(self, near: Source) -> Iterator[str]:
        roots = list(self.folders)
        if near.path is not None:
            roots.append(project_folder(near.path))
        count = 0
        for root in dict.fromkeys(map(os.path.realpath, roots)):
            for folder, folders, files in os.walk(root):
                folders[:] = sorted(f for f in folders if not f.startswith(".") and f not in _SKIPPED)
                for name in sorted(files):
                    if name.endswith(".net") and count < _MOST_FILES:
                        count += 1
                        yield os.path.realpath(os.path.join(folder, name))

    # -------------------------------------------------------------------------------------------------------- places

    def positions(self, source: Source) -> Positions:
        if source not in self._positions:
            self._positions[source] = Positions(source.text, self.encoding)
        return self._positions[source]

    def location(self, span: Span) -> types.Location:
        return types.Location(self.uri(span.source), self.positions(span.source).of(span))

    def uri(self, source: Source) -> str:
        for document in self.open.values():
            if document.source is source or (source.path is not None and document.source.path == source.path):
                return document.uri
        if source.path is None:
            return source.name
        return Path(source.path).as_uri()


def path_of(uri: str) -> str | None:
    """The real path of a file's URI; None for a text that is not a file yet."""
    path = uris.to_fs_path(uri)
    return os.path.realpath(path) if path is not None else None
