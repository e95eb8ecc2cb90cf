"""References to a name in all files, and renaming."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from graphdl.diagnostics import Diagnostic
from graphdl.language import syntax
from graphdl.language.expansion import names
from graphdl.language.expansion.expander import check
from graphdl.language.expansion.faults import Reporter
from graphdl.language.expansion.files import Files, read_source
from graphdl.language.expansion.registry import Registry
from graphdl.language.expansion.resolver import resolve
from graphdl.language.expansion.symbols import Symbol
from graphdl.language.expansion.watching import Watcher
from graphdl.language.lexer import RESERVED
from graphdl.language.words import normal
from graphdl.source import Source, Span

Key = tuple[str, int]


class RefusedError(Exception):
    """The name cannot be changed, or not to this one. The message says why."""


def check_renameable(symbol: Symbol) -> None:
    """Raises RefusedError for a symbol that no file of the user defines."""
    if symbol.span is None:
        raise RefusedError(f"'{symbol.name}' is a word of the language")
    if symbol.span.in_library:
        raise RefusedError(f"'{symbol.name}' belongs to the standard library")


def check_name(name: str) -> None:
    """Raises RefusedError for a text that is not a name."""
    if not name.isidentifier():
        raise RefusedError(f"'{name}' is no name: a name is letters, digits and '_', and begins with no digit")
    if name in RESERVED or name == "_":
        raise RefusedError(f"'{name}' is a word of the language")


def references(key: Key, sources: Iterable[Source], texts: Mapping[str, Source]) -> list[tuple[Span, bool]]:
    """All occurrences of a symbol in the given files, and whether each assigns a value.

    ``texts`` has the files that differ from the disk, by path.
    """
    found: dict[tuple[str, int], tuple[Span, bool]] = {}
    for source in sources:
        files = _load(source, texts)
        registry = Registry()
        for scope in files.scopes:
            for occurrence in resolve(scope, registry).of(key):
                place = occurrence.span.source
                found.setdefault(
                    (place.path or place.name, occurrence.span.start), (occurrence.span, occurrence.writes)
                )
    return [found[place] for place in sorted(found)]


def rename(symbol: Symbol, name: str, sources: list[Source], texts: Mapping[str, Source]) -> dict[Source, list[Span]]:
    """The occurrences to replace by the new name, by file.

    Raises:
        RefusedError: the text is not a name, the symbol is not the user's, or the meaning of another name would change.
    """
    check_renameable(symbol)
    name = normal(name)
    check_name(name)
    places: dict[str, list[Span]] = {}
    for span, _ in references(symbol.key, sources, texts):
        places.setdefault(span.source.path or span.source.name, []).append(span)
    changed = {key: _edited(spans, name) for key, spans in places.items()}
    after = {**texts, **{key: source for key, source in changed.items() if source.path is not None}}
    for source in sources:
        key = source.path or source.name
        _compare(source, texts, changed.get(key, source), after, places, name)
    return {spans[0].source: spans for spans in places.values()}


def _edited(spans: list[Span], name: str) -> Source:
    source = spans[0].source
    pieces, last = [], 0
    for span in spans:
        pieces += [source.text[last : span.start], name]
        last = span.end
    return Source(source.name, "".join([*pieces, source.text[last:]]), source.path)


def _compare(
    before: Source, texts: Mapping[str, Source], after: Source, new_texts: Mapping[str, Source],
    places: Mapping[str, list[Span]], name: str,
) -> None:  # fmt: skip
    """Refuses a renaming that would change the meaning of a name or declare a name twice."""
    meaning, faults = _meaning(before, texts)
    new_meaning, new_faults = _meaning(after, new_texts)

    def shifted(place: Key) -> Key:
        before = [span for span in places.get(place[0], ()) if span.start < place[1]]
        return place[0], place[1] + sum(len(name) - (span.end - span.start) for span in before)

    expected = {shifted(place): shifted(target) if target[0] in places else target for place, target in meaning.items()}
    if expected != new_meaning:
        raise RefusedError(f"'{name}' means something else already, here or in '{before.name}'")
    if new_faults - faults:
        raise RefusedError(f"'{name}' is taken already in '{before.name}'")
    if _names_paths(before, texts):
        known = {diagnostic.message for diagnostic in _checked(before, texts)}
        for diagnostic in _checked(after, new_texts):
            if diagnostic.code == "E0604" and diagnostic.message not in known:
                raise RefusedError(f"in '{before.name}' {diagnostic.message} then: write another pattern first")


def _meaning(source: Source, texts: Mapping[str, Source]) -> tuple[dict[Key, Key], Counter[str]]:
    """Maps each occurrence of a name to the place of its definition; and the number of errors by code."""
    files = _load(source, texts)
    registry = Registry()
    meaning: dict[Key, Key] = {}
    reporter = Reporter()
    for scope in files.scopes:
        bindings = resolve(scope, registry)
        for occurrence in bindings.occurrences:
            place = occurrence.span.source
            meaning[place.path or place.name, occurrence.span.start] = occurrence.symbol.key
        names.check(bindings, reporter)
    diagnostics = [*files.diagnostics, *reporter.in_order()]
    return meaning, Counter(diagnostic.code for diagnostic in diagnostics if diagnostic.is_error)


def _names_paths(source: Source, texts: Mapping[str, Source]) -> bool:
    """Whether a train section refers to parameters by path. Names of blocks and params are parts of paths."""
    trains = (d for d in _load(source, texts).scopes[0].tree.declarations if isinstance(d, syntax.Train))
    return any(setting.patterns or setting.word == "only" for train in trains for setting in train.all_settings)


def _checked(source: Source, texts: Mapping[str, Source]) -> list[Diagnostic]:
    return check(source, watcher=_Reader(texts))


def _load(source: Source, texts: Mapping[str, Source]) -> Files:
    """A file and its imports, parsed but not expanded."""
    files = Files(read=_Reader(texts).read)
    files.main(source)
    return files


class _Reader(Watcher):
    """Reads the texts of the editor, or those on disk."""

    modes = (False,)

    def __init__(self, texts: Mapping[str, Source]) -> None:
        self.texts = texts

    def read(self, path: str) -> Source:
        return self.texts[path] if path in self.texts else read_source(path)
