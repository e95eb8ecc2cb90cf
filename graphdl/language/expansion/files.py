"""Files and their declarations: reading, imports, the standard library."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any

from graphdl.diagnostics import Diagnostic, Label, ModelError
from graphdl.language import syntax
from graphdl.language.expansion.nets import definition_of, header_of
from graphdl.language.expansion.values import Definition, Namespace
from graphdl.language.lexer import MAXIMUM_TOKENS
from graphdl.source import Places, Source, Span
from graphdl.suggest import did_you_mean

LIBRARY = Path(__file__).resolve().parent.parent / "library"

_LARGEST_FILE = 4_000_000

_MOST_FILES = 500
"""The most files of a model, including imports."""


class FileScope:
    """A parsed file and the names of its declarations."""

    def __init__(self, tree: syntax.File) -> None:
        self.tree = tree
        self.source = tree.source
        self.is_library = tree.source.origin == "library"
        self.definitions: dict[str, Definition] = {}
        self.lets: dict[str, syntax.Let] = {}
        self.let_values: dict[str, Any] = {}
        self.imported: dict[str, Definition] = {}
        self.namespaces: dict[str, Namespace] = {}
        self._spoilt = Places(tree.spoilt)
        self.lost = set(tree.lost)
        """Names that are missing because of a reported syntax or import error. ``*`` stands for any name."""
        for declaration in tree.declarations:
            if isinstance(declaration, syntax.Block | syntax.Net):
                self.definitions.setdefault(declaration.name, definition_of(declaration, self))
            elif isinstance(declaration, syntax.Let):
                self.lets.setdefault(declaration.name, declaration)

    def find(self, name: str) -> Definition | Namespace | None:
        """The block, net or namespace with this name; those of the file take precedence over the standard library."""
        return self.definitions.get(name) or self.imported.get(name) or self.namespaces.get(name) or library_block(name)

    def declares(self, name: str) -> bool:
        """Whether the file declares or imports the name."""
        return any(name in names for names in (self.definitions, self.lets, self.imported, self.namespaces))

    def is_excused(self, name: str) -> bool:
        """Whether an undefined name is the consequence of a reported error."""
        return name in self.lost or "*" in self.lost

    def is_spoilt(self, node: syntax.Syntax) -> bool:
        """Whether a statement or declaration (without its body) had a syntax error. Its tree then differs from the
        text, and no further errors are reported for it.
        """
        if not self.tree.spoilt:
            return False
        own = header_of(node)
        return self._spoilt.begin_within(own.start, own.end) or self._spoilt.cover(own.start)

    @property
    def nets(self) -> list[Definition]:
        return [d for d in self.definitions.values() if isinstance(d.written, syntax.Net)]

    def known(self) -> Iterator[str]:
        return chain(self.definitions, self.lets, self.imported, self.namespaces, library_index())


def read_source(path: str | os.PathLike[str]) -> Source:
    """The text of a file. Raises ModelError if it cannot be read."""
    name = os.fspath(path)
    try:
        mode = os.stat(name).st_mode
        if not stat.S_ISREG(mode):  # a device may have no end, and a pipe no writer
            kind = "a folder" if stat.S_ISDIR(mode) else "a device or a pipe"
            raise ModelError(Diagnostic("E0208", f"cannot read '{name}': it is {kind}, not a file"))
        with open(name, "rb") as file:
            data = file.read(_LARGEST_FILE + 1)
    except (OSError, ValueError) as error:  # ValueError: the name contains a null character
        reason = getattr(error, "strerror", None) or error
        raise ModelError(Diagnostic("E0208", f"cannot read '{name}': {reason}")) from None
    return Source(name, decoded(data, name), os.path.realpath(name))


def decoded(data: bytes, name: str) -> str:
    """The decoded text of a file. A lone carriage return ends a line, too. Raises ModelError."""
    if len(data) > _LARGEST_FILE:
        raise ModelError(Diagnostic("E0208", f"'{name}' is larger than {_LARGEST_FILE // 1_000_000} MB"))
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ModelError(Diagnostic("E0208", f"'{name}' is not UTF-8 text (byte {error.start})")) from None
    return re.sub("\r(?!\n)", "\n", text)


def project_folder(path: str) -> str:
    """The folder that imports must not leave: the nearest parent with ``.git`` or ``pyproject.toml``, else the file's
    folder.
    """
    folder = Path(path).parent
    for candidate in (folder, *folder.parents):
        if (candidate / ".git").exists() or (candidate / "pyproject.toml").exists():
            return str(candidate)
    return str(folder)


# ------------------------------------------------------------------------------------------------ standard library


@cache
def library_index() -> dict[str, Path]:
    """Maps the name of each library block to its file. The files are searched, not parsed."""
    index: dict[str, Path] = {}
    for path in sorted(LIBRARY.glob("*.net")):
        for match in re.finditer(r"^block +(\w+)", path.read_text(encoding="utf-8"), re.MULTILINE):
            index[match[1]] = path
    return index


@cache
def library_file(path: Path) -> FileScope:
    """A file of the library, parsed once in a process."""
    from graphdl.language.parser import parse

    source = Source(f"library/{path.name}", path.read_text(encoding="utf-8"), str(path), "library")
    tree, diagnostics = parse(source)
    if diagnostics:
        raise ModelError(*diagnostics)
    return FileScope(tree)


def library_block(name: str) -> Definition | None:
    path = library_index().get(name)
    return library_file(path).definitions[name] if path is not None else None


# --------------------------------------------------------------------------------------------------------- imports


class Files:
    """Reads a file and all files that it imports."""

    def __init__(
        self, *, root: str | None = None, allow_outside: bool = False, read: Callable[[str], Source] = read_source
    ) -> None:
        """``root`` is the folder that imports must not leave, by default the project's."""
        self.scopes: list[FileScope] = []
        self.diagnostics: list[Diagnostic] = []
        self.allow_outside = allow_outside
        self._read = read
        self._tokens = 0
        """The number of tokens in all files except those of the library."""
        self._by_path: dict[str, FileScope] = {}
        self._root = root

    @property
    def sources(self) -> list[Source]:
        return [scope.source for scope in self.scopes]

    def main(self, source: Source) -> FileScope:
        """The main file, with its imports."""
        if source.path is not None and self._root is None:
            self._root = project_folder(source.path)
        return self._load(source, ())

    def _load(self, source: Source, above: tuple[Source, ...]) -> FileScope:
        from graphdl.language.parser import parse

        tree, diagnostics = parse(source)
        self.diagnostics.extend(diagnostics)
        scope = FileScope(tree)
        self.scopes.append(scope)
        self._tokens += tree.tokens
        if source.path is not None:
            self._by_path[source.path] = scope
        brought: dict[str, Span] = {}
        for declaration in tree.declarations:
            if isinstance(declaration, syntax.Import):
                self._import(declaration, scope, (*above, source), brought)
        return scope

    def _import(
        self, item: syntax.Import, scope: FileScope, above: tuple[Source, ...], brought: dict[str, Span]
    ) -> None:
        path = self._resolve(item, scope.source)
        if path is None:
            scope.lost.add(item.alias or "*")
            return
        if path in [s.path for s in above]:
            names = [s.name for s in above[[s.path for s in above].index(path) :]]
            cycle = " -> ".join([*(os.path.basename(n) for n in names), os.path.basename(names[0])])
            self._complain("E0209", f"the imports go round in a circle: {cycle}", item.path_span)
            scope.lost.update([item.alias] if item.alias is not None else self._by_path[path].definitions)
            return
        other = self._by_path.get(path)
        if other is None:
            if Path(path).parent == LIBRARY:
                other = library_file(Path(path))
            else:
                try:
                    source = self._read(path)
                except ModelError as error:
                    self._complain("E0208", error.diagnostics[0].message, item.path_span)
                    scope.lost.add(item.alias or "*")
                    return
                if self._tokens > MAXIMUM_TOKENS or len(self.scopes) >= _MOST_FILES:
                    message = f"more than {_MOST_FILES:,} files, or {MAXIMUM_TOKENS:,} words and signs in them"
                    self._complain("E0106", f"with its imports the model has {message}", item.path_span)
                    scope.lost.add(item.alias or "*")
                    return
                name = os.path.join(os.path.dirname(scope.source.name), item.path)
                other = self._load(Source(os.path.normpath(name), source.text, source.path, "import"), above)
        if item.alias is not None:
            self._bring(item.alias, item, brought)
            scope.namespaces[item.alias] = Namespace(item.alias, other.definitions, frozenset(other.lost))
            return
        scope.lost |= other.lost
        for name, definition in other.definitions.items():
            if self._bring(name, item, brought):
                scope.imported[name] = definition

    def _bring(self, name: str, item: syntax.Import, brought: dict[str, Span]) -> bool:
        if name in brought:
            self._complain(
                "E0211", f"two imports bring the name '{name}'", item.path_span,
                labels=(Label(brought[name], "the first"),), help='import one of them under a name: import "…" as name',
            )  # fmt: skip
            return False
        brought[name] = item.path_span
        return True

    def _resolve(self, item: syntax.Import, importer: Source) -> str | None:
        """The real path of an imported file. Reports an error and returns None if there is no such file."""
        if "\0" in item.path:
            self._complain("E0208", "the name of a file holds no zero", item.path_span)
            return None
        if os.path.isabs(item.path) and not self.allow_outside:
            self._complain("E0212", f"an import is relative to its file, not absolute: '{item.path}'", item.path_span)
            return None
        if importer.path is not None:
            folder = os.path.dirname(importer.path)
            path = os.path.realpath(os.path.join(folder, item.path))
            root = os.path.realpath(self._root) if self._root else folder
            if not self.allow_outside and os.path.commonpath([root, path]) != root:
                self._complain(
                    "E0212", f"'{item.path}' lies outside of the project's folder", item.path_span,
                    notes=(f"the project's folder is {root}",),
                )  # fmt: skip
                return None
            if os.path.isfile(path):
                return path
        shipped = LIBRARY / item.path
        if os.path.basename(item.path) == item.path and shipped.is_file():
            return str(shipped)
        near: Iterable[str] = ()
        if importer.path is not None:
            wanted = os.path.join(os.path.dirname(importer.path), os.path.dirname(item.path))
            near = (os.path.join(os.path.dirname(item.path), p.name) for p in Path(wanted).glob("*.net"))
        else:
            near = (p.name for p in LIBRARY.glob("*.net"))
        self._complain("E0208", f"there is no file '{item.path}'", item.path_span, help=did_you_mean(item.path, near))
        return None

    def _complain(
        self, code: str, message: str, span: Span, *, labels: tuple[Label, ...] = (), notes: tuple[str, ...] = (),
        help: str | None = None,
    ) -> None:  # fmt: skip
        self.diagnostics.append(Diagnostic(code, message, span, labels=labels, notes=notes, help=help))
