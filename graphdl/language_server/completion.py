"""Completions at the cursor."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from graphdl.graph.model import Value
from graphdl.graph.train import WORDS
from graphdl.language.expansion import symbols
from graphdl.language.expansion.clock import TIMES
from graphdl.language.expansion.files import LIBRARY, library_index
from graphdl.language.expansion.indexing import DIMENSIONS
from graphdl.language.expansion.meaning import TRAINING, language_names
from graphdl.language.expansion.symbols import Symbol
from graphdl.language.expansion.values import Definition, text
from graphdl.language.expansion.values import is_module as is_module_value
from graphdl.language.lexer import RESERVED
from graphdl.language.recovery import following
from graphdl.language.words import continues
from graphdl.language_server import calls, signatures
from graphdl.language_server.analysis import Analysis
from graphdl.language_server.context import Context
from graphdl.language_server.signatures import Settings, Signature
from graphdl.operators.initializers import INITIALIZERS

_FILE_WORDS = {
    "import": 'import "$1"',
    "let": "let ${1:name} = $0",
    "block": "block ${1:name}($2): x -> y {\n\ty = $0\n}",
    "net": "net ${1:name} {\n\tinput ${2:x}: [$3]\n\t$0\n}",
    "train": "train {\n\tdata $1\n\toptimizer ${2:adam}\n\tbatch ${3:64}\n\tepochs ${4:10}\n}",
}
_NET_WORDS = {
    "input": "input ${1:x}: [$2]",
    "output": "output ${1:name} = $0",
    "loss": "loss $0",
    "metric": "metric $0",
}
_BODY_WORDS = {
    "param": "param ${1:W}: [$2] = $0",
    "state": "state ${1:name}: [$2] = $0",
    "update": "update ${1:name} = $0",
    "if": "if $1 {\n\t$0\n}",
    "for": "for ${1:item} in $2 {\n\t$0\n}",
    "assert": 'assert $1, "$2"',
    "emit": "emit $0",
}
_TYPES = {"[…]": "[$1]", "int": "int[$1]", "bool": "bool[$1]", "class": "class($1)"}


@dataclass(frozen=True, slots=True)
class Item:
    """One completion. ``snippet`` is inserted if the editor supports snippets, else ``label``.
    Lower ranks come first.
    """

    label: str
    kind: str
    """A kind of ``symbols``, or ``keyword``, ``argument``, ``attribute``, ``setting``, ``file``."""
    rank: int
    detail: str = ""
    documentation: str | None = None
    snippet: str | None = None
    start: int | None = None
    """The start of the replaced text, if it is not the start of the word."""


def complete(analysis: Analysis, context: Context, settings: Settings) -> Iterator[Item]:
    """All completions that fit at the cursor. The editor filters them by the word's beginning."""
    before = context.before
    if context.last == ".":
        yield from _after_dot(analysis, context)
    elif len(before) >= 1 and before[-1].type == "NUMBER" and before[-1].end == context.start:
        return
    elif context.declaration == "train":
        yield from _in_train(analysis, context, settings)
    elif context.declaration is None and context.begins:
        yield from (Item(word, "keyword", 0, snippet=snippet) for word, snippet in _FILE_WORDS.items())
    elif context.last == ":" and not context.call and len(context.statement) == 3:
        yield from (Item(word, "keyword", 0, snippet=snippet) for word, snippet in _TYPES.items())
    else:
        yield from _expression(analysis, context, settings)


# -------------------------------------------------------------------------------------------------------- expressions


def _expression(analysis: Analysis, context: Context, settings: Settings) -> Iterator[Item]:
    if context.begins:
        words = {**_BODY_WORDS, **(_NET_WORDS if context.declaration == "net" else {})}
        yield from (Item(word, "keyword", 2, snippet=snippet) for word, snippet in words.items())
    if context.call is not None and context.last in ("(", ","):
        signature = calls.signature_of(analysis, context, context.call, settings)
        if signature is not None:
            yield from _arguments(analysis, context, signature)
    if context.last == "as":
        return
    expected = None if context.begins else following(analysis.source, context.before)
    if expected is None or "NAME" in expected:
        yield from _names(analysis, context)
    if not context.begins:
        reserved = frozenset(["repeat"]) if context.last == "->" else RESERVED
        reserved = reserved if expected is None else reserved & expected
        yield from (Item(word, "keyword", 5) for word in sorted(reserved))


def _arguments(analysis: Analysis, context: Context, signature: Signature) -> Iterator[Item]:
    assert context.call is not None
    for parameter in calls.open_parameters(analysis, context.call, signature):
        if not parameter.port:
            yield Item(f"{parameter.name} =", "argument", 0, parameter.label, snippet=f"{parameter.name} = $0")


def _names(analysis: Analysis, context: Context) -> Iterator[Item]:
    """The names in scope: those of the body, the file, its imports, the library and the language."""
    piped = context.last == "->"
    seen: set[str] = set()
    for name, symbol in analysis.bindings.visible(context.start).items():
        seen.add(name)
        assert symbol.span is not None  # local symbols have one
        values = analysis.values_of(symbol, symbol.span)
        detail = text(values[0]) if values else symbol.kind
        is_module = not values or is_module_value(values[0]) or symbol.kind == symbols.MODULE
        if is_module or not piped:
            yield Item(name, symbol.kind, 1, detail)
    initializes = bool(context.statement) and context.statement[0].type in ("param", "state") and context.last == "="
    for symbol in _of_file(analysis, initializes):
        if symbol.name not in seen:
            seen.add(symbol.name)
            yield _callable(symbol, piped, 1 if initializes and symbol.kind == symbols.INITIALIZER else 3)


def _of_file(analysis: Analysis, initializers_first: bool) -> Iterator[Symbol]:
    file, registry = analysis.file, analysis.registry
    if file is None:
        return
    if initializers_first:
        yield from (registry.word(name, symbols.INITIALIZER) for name in INITIALIZERS)
    for definition in (*file.definitions.values(), *file.imported.values()):
        yield registry.of_definition(definition)
    for occurrence in analysis.bindings.occurrences:
        if occurrence.symbol.kind in (symbols.LET, symbols.IMPORT) and occurrence.writes:
            yield occurrence.symbol
    for name in library_index():
        found = file.find(name)
        if isinstance(found, Definition):
            yield registry.of_definition(found)
    for name in language_names():
        symbol = registry.language(name)
        if symbol is not None:
            yield symbol


def _callable(symbol: Symbol, piped: bool, rank: int) -> Item:
    signature = signatures.of_symbol(symbol)
    if signature is None:
        return Item(symbol.name, symbol.kind, rank, symbol.kind)
    if symbol.kind in (symbols.PRIMITIVE, symbols.FUNCTION):
        rank += 1
    wanted = [p.name for p in signature.parameters if p.required and not (piped and p.port)]
    if wanted:
        places = ", ".join(f"${{{number}:{name}}}" for number, name in enumerate(wanted, 1))
        snippet = f"{symbol.name}({places})"
    elif piped or not signature.parameters:
        snippet = symbol.name if symbol.kind != symbols.INITIALIZER else f"{symbol.name}()"
    else:
        snippet = f"{symbol.name}($1)"
    return Item(symbol.name, symbol.kind, rank, signature.label, signature.documentation, snippet)


# --------------------------------------------------------------------------------------------------------- attributes


def _after_dot(analysis: Analysis, context: Context) -> Iterator[Item]:
    base = context.before[-2] if len(context.before) > 1 else None
    if base is not None and base.type == "NAME" and analysis.file is not None:
        namespace = analysis.file.namespaces.get(base.text)
        if namespace is not None and base.text not in analysis.bindings.visible(base.start):
            piped = len(context.before) > 2 and context.before[-3].type == "->"
            for member in namespace.members.values():
                yield _callable(analysis.registry.of_definition(member), piped, 0)
            return
    if context.declaration == "train":
        return
    if base is not None and base.text == TRAINING:
        yield from (Item(name, "attribute", 0, "in training") for name in TIMES)
        return
    if base is not None and analysis.last_graph is not None:
        below = f"{base.text}."
        for path, variable in analysis.last_graph.parameters.items():
            if path.startswith(below):
                yield Item(path.removeprefix(below), symbols.PARAM, 0, str(variable.type))
    value = None
    if base is not None and base.type == "NAME":
        symbol = analysis.bindings.visible(base.end + 1).get(base.text)
        values = analysis.values_of(symbol, symbol.span) if symbol is not None and symbol.span is not None else []
        value = next((v for v in values if isinstance(v, Value)), None)
    for name in ("shape", "rank", *DIMENSIONS):
        if value is None:
            yield Item(name, "attribute", 0)
        elif name not in DIMENSIONS:
            yield Item(name, "attribute", 0, text(value.type.rank if name == "rank" else list(value.type.shape)))
        elif value.type.rank in DIMENSIONS[name][1]:
            yield Item(name, "attribute", 0, str(value.type.shape[DIMENSIONS[name][0]]))


# ------------------------------------------------------------------------------------------------------------ training


def _in_train(analysis: Analysis, context: Context, settings: Settings) -> Iterator[Item]:
    if context.begins:
        yield from (Item(word, "keyword", 0, snippet=f"{word} $0") for word in WORDS)
        yield Item("turn", "keyword", 1, snippet="turn ${1:name} {\n\tsteps ${2:1}\n\t$0\n}")
        return
    word = context.statement[0].text
    kind = WORDS[word].kind if word in WORDS else None
    graph = analysis.last_graph
    if kind == "best" and context.call is not None and graph is not None:
        yield from (Item(name, "loss", 0, "metric") for name in graph.metrics)
        yield from (Item(name, "loss", 1, "loss") for name in graph.losses)
        return
    if context.call is not None:
        signature = calls.signature_of(analysis, context, context.call, settings)
        if context.last in ("(", ",") and signature is not None:
            yield from _arguments(analysis, context, signature)
        for occurrence in analysis.bindings.occurrences:
            if occurrence.writes and occurrence.symbol.kind in (symbols.LET, symbols.HYPER):
                yield Item(occurrence.symbol.name, occurrence.symbol.kind, 1, occurrence.symbol.kind)
        return
    for name, make in settings.get(word, {}).items() if len(context.statement) == 1 or kind == "calls" else ():
        signature = signatures.of_setting(name, make)
        snippet = f"{name}($1)" if signature.parameters else name
        yield Item(name, "setting", 0, signature.label, signature.documentation, snippet)
    if kind == "word" and len(context.statement) == 1:
        yield from (Item(name, "setting", 0, word) for name in WORDS[word].known)
    if graph is None:
        return
    if kind == "losses":
        yield from (Item(name, "loss", 0, "loss") for name in graph.losses)
    elif kind == "feed":
        yield from (Item(name, symbols.INPUT, 0, str(value.type)) for name, value in graph.inputs.items())
    elif kind == "best":
        yield from (Item(name, "setting", 0, f"best {name}(…)", snippet=f"{name}($1)") for name in ("min", "max"))
    elif kind in ("parameters", "factors", "limits", "starts"):
        start = context.start
        text = analysis.source.text
        while start > 0 and (continues(text[start - 1]) or text[start - 1] in ".*"):
            start -= 1
        yield from _patterns(graph.parameters, start)


def _patterns(paths: Iterable[str], start: int) -> Iterator[Item]:
    """All parameters, and all groups of them."""
    groups: dict[str, int] = {}
    for path in paths:
        names = path.split(".")
        for length in range(1, len(names)):
            group = ".".join(names[:length]) + ".*"
            groups[group] = groups.get(group, 0) + 1
    yield from (Item(group, "group", 0, f"{count} parameters", start=start) for group, count in groups.items())
    yield from (Item(path, symbols.PARAM, 1, "parameter", start=start) for path in paths)


# ------------------------------------------------------------------------------------------------------------- imports


def imports(analysis: Analysis, offset: int) -> Iterator[Item] | None:
    """The files for the text of an ``import`` at the cursor; None elsewhere."""
    for before, token in zip(analysis.tokens, analysis.tokens[1:], strict=False):
        if (
            before.type == "import"
            and token.type == "STRING"
            and token.start < offset <= max(token.end, token.start + 1)
        ):
            written = analysis.source.text[token.start + 1 : offset]
            return _files(analysis, written, offset - len(written.rpartition("/")[2]))
    return None


def _files(analysis: Analysis, written: str, start: int) -> Iterator[Item]:
    folder = written.rpartition("/")[0]
    if analysis.source.path is not None:
        place = Path(os.path.dirname(analysis.source.path), folder)
        for path in sorted(place.iterdir()) if place.is_dir() else ():
            if path.suffix == ".net" and str(path) != analysis.source.path:
                yield Item(path.name, "file", 0, start=start)
            elif path.is_dir() and not path.name.startswith("."):
                yield Item(path.name + "/", "file", 1, start=start)
    if not folder:
        yield from (
            Item(path.name, "file", 2, "the standard library", start=start) for path in sorted(LIBRARY.glob("*.net"))
        )


def in_text(analysis: Analysis, offset: int) -> bool:
    """Whether the cursor is in a comment or a string, where nothing is completed."""
    line = analysis.source.text.rfind("\n", 0, offset) + 1
    if any(t.type == "STRING" and t.start < offset < t.end for t in analysis.tokens):
        return True
    inside = False
    for character in analysis.source.text[line:offset]:
        if character == '"':
            inside = not inside
        elif character == "#" and not inside:
            return True
    return inside
