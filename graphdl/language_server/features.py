"""The language server: the requests of the protocol, answered with analyses."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Callable, Iterable
from functools import cache, partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from lsprotocol import types
from pygls.exceptions import JsonRpcInvalidParams
from pygls.lsp.server import LanguageServer

from graphdl.diagnostics import ModelError
from graphdl.language.expansion import limits, symbols
from graphdl.language.expansion.files import LIBRARY
from graphdl.language.expansion.symbols import Occurrence
from graphdl.language.formatter import format_source
from graphdl.language.words import normal
from graphdl.language_server import calls, completion, rename
from graphdl.language_server.analysis import Analysis, Complain
from graphdl.language_server.context import Context, context
from graphdl.language_server.documents import Document, Documents, path_of
from graphdl.language_server.hover import hover
from graphdl.language_server.outline import Entry, outline
from graphdl.language_server.problems import problems
from graphdl.language_server.signatures import Settings
from graphdl.language_server.text import moved
from graphdl.source import Span

DELAY = 0.1
"""Seconds without a keystroke before the text is checked."""

_OUTLINE = {
    symbols.BLOCK: types.SymbolKind.Class,
    symbols.NET: types.SymbolKind.Module,
    symbols.LET: types.SymbolKind.Constant,
    symbols.STAGE: types.SymbolKind.Event,
    symbols.INPUT: types.SymbolKind.Interface,
    symbols.OUTPUT: types.SymbolKind.Event,
    symbols.PARAM: types.SymbolKind.Field,
    symbols.STATE: types.SymbolKind.Field,
    symbols.MODULE: types.SymbolKind.Object,
    "setting": types.SymbolKind.Property,
}
_ITEMS = {
    symbols.BLOCK: types.CompletionItemKind.Class,
    symbols.NET: types.CompletionItemKind.Module,
    symbols.LET: types.CompletionItemKind.Constant,
    symbols.HYPER: types.CompletionItemKind.Constant,
    symbols.DIMENSION: types.CompletionItemKind.Constant,
    symbols.PARAM: types.CompletionItemKind.Field,
    symbols.STATE: types.CompletionItemKind.Field,
    symbols.IMPORT: types.CompletionItemKind.Module,
    symbols.PRIMITIVE: types.CompletionItemKind.Function,
    symbols.FUNCTION: types.CompletionItemKind.Function,
    symbols.INITIALIZER: types.CompletionItemKind.Function,
    "keyword": types.CompletionItemKind.Keyword,
    "argument": types.CompletionItemKind.Property,
    "attribute": types.CompletionItemKind.Property,
    "setting": types.CompletionItemKind.Function,
    "group": types.CompletionItemKind.Folder,
    "file": types.CompletionItemKind.File,
}


class Server(LanguageServer):
    """A language server with its open documents.

    Args:
        settings: returns the calls that may follow the words of a train section; called on demand.
        complain: returns further diagnostics about a graph with train sections.
    """

    def __init__(self, settings: Callable[[], Settings], complain: Complain) -> None:
        super().__init__("graphdl", _version(), text_document_sync_kind=types.TextDocumentSyncKind.Full)
        self.documents = Documents(complain)
        self.settings = cache(settings)
        self._waiting: dict[str, asyncio.TimerHandle] = {}

    # ------------------------------------------------------------------------------------------------------- checking

    def changed(self, uri: str, text: str, version: int | None, delay: float) -> None:
        document = self.documents.put(uri, text, version)
        for other in (document, *self.documents.dependents(uri)):
            self.check_soon(other.uri, delay)

    def check_soon(self, uri: str, delay: float) -> None:
        """Checks a file when its text has not changed for ``delay`` seconds."""
        waiting = self._waiting.pop(uri, None)
        if waiting is not None:
            waiting.cancel()
        self._waiting[uri] = asyncio.get_running_loop().call_later(delay, self.check, uri)

    def check(self, uri: str) -> None:
        """Sends the diagnostics of a file."""
        self._waiting.pop(uri, None)
        analysis = self.documents.analysis(uri)
        if analysis is None or (analysis.source.path or "").startswith(f"{LIBRARY}{os.sep}"):
            return
        document = self.documents.open[uri]
        early = analysis.is_broken or analysis.abandoned or document.shows_errors
        if early:  # errors appear and disappear at once; the expansion for training adds further ones later
            self.publish(document, analysis)
        asyncio.get_running_loop().call_soon(self.finish, uri, analysis, early)

    def finish(self, uri: str, analysis: Analysis, is_shown: bool) -> None:
        """Sends the remaining diagnostics, unless the text has changed meanwhile."""
        document = self.documents.open.get(uri)
        if document is not None and document.analysis is analysis:
            shown = analysis.diagnostics
            analysis.finish()
            if not is_shown or analysis.diagnostics != shown:
                self.publish(document, analysis)

    def publish(self, document: Document, analysis: Analysis) -> None:
        document.shows_errors = analysis.is_broken
        found = list(problems(analysis, self.documents.location))
        self.text_document_publish_diagnostics(types.PublishDiagnosticsParams(document.uri, found, document.version))

    def closed(self, uri: str) -> None:
        waiting = self._waiting.pop(uri, None)
        if waiting is not None:
            waiting.cancel()
        self.documents.remove(uri)
        self.text_document_publish_diagnostics(types.PublishDiagnosticsParams(uri, []))

    # ---------------------------------------------------------------------------------------------------------- places

    def place(self, uri: str, position: types.Position) -> tuple[Analysis, int] | None:
        analysis = self.documents.analysis(uri)
        if analysis is None:
            return None
        return analysis, self.documents.positions(analysis.source).offset(position)

    def occurrence(self, uri: str, position: types.Position) -> tuple[Analysis, Occurrence] | None:
        """The name at a position. In a broken statement it is that of the earlier text."""
        found = self.place(uri, position)
        if found is None:
            return None
        analysis, offset = found
        occurrence = analysis.bindings.at(offset)
        if occurrence is None and analysis.earlier is not None:
            before = moved(offset, analysis.earlier.source.text, analysis.source.text)
            if before is not None and (old := analysis.earlier.bindings.at(before)) is not None:
                return analysis, old
        return (analysis, occurrence) if occurrence is not None else None

    def context(self, uri: str, position: types.Position) -> tuple[Analysis, Context] | None:
        found = self.place(uri, position)
        if found is None:
            return None
        analysis, offset = found
        return analysis, context(analysis.source.text, analysis.tokens, offset)

    def settings_for(self, where: Context) -> Settings:
        return self.settings() if where.declaration == "train" else {}


def serve(settings: Callable[[], Settings], complain: Complain) -> None:
    """Serves one editor over standard input and output until it closes the connection."""
    # This process is the server's own. Expressions nest as deeply as the parser allows, in every walk over the tree.
    sys.setrecursionlimit(max(sys.getrecursionlimit(), limits.PYTHON_DEPTH))
    # A refused renaming is an answer, not an error of the server.
    logging.getLogger("pygls.protocol.json_rpc").addFilter(
        lambda record: not (record.exc_info and isinstance(record.exc_info[1], JsonRpcInvalidParams))
    )
    server = Server(settings, complain)
    _documents(server)
    _reading(server)
    _changing(server)
    _writing(server)
    server.start_io()


def _version() -> str:
    try:
        return version("graphdl")
    except PackageNotFoundError:
        return "unknown"


def _documents(server: Server) -> None:
    """Registers opening, changing and closing of files."""
    documents = server.documents

    @server.feature(types.INITIALIZED)
    def initialized(params: types.InitializedParams) -> None:
        documents.encoding = server.workspace.position_encoding or types.PositionEncodingKind.Utf16
        documents.folders = [p for f in server.workspace.folders.values() if (p := path_of(f.uri)) is not None]

    @server.feature(types.WORKSPACE_DID_CHANGE_WORKSPACE_FOLDERS)
    def folders(params: types.DidChangeWorkspaceFoldersParams) -> None:
        documents.folders = [p for f in server.workspace.folders.values() if (p := path_of(f.uri)) is not None]

    @server.feature(types.TEXT_DOCUMENT_DID_OPEN)
    def opened(params: types.DidOpenTextDocumentParams) -> None:
        document = params.text_document
        server.changed(document.uri, document.text, document.version, 0)

    @server.feature(types.TEXT_DOCUMENT_DID_CHANGE)
    def changed(params: types.DidChangeTextDocumentParams) -> None:
        uri = params.text_document.uri
        text = server.workspace.get_text_document(uri).source
        server.changed(uri, text, params.text_document.version, DELAY)

    @server.feature(types.TEXT_DOCUMENT_DID_CLOSE)
    def closed(params: types.DidCloseTextDocumentParams) -> None:
        server.closed(params.text_document.uri)

    @server.feature(types.WORKSPACE_DID_CHANGE_WATCHED_FILES)
    def watched(params: types.DidChangeWatchedFilesParams) -> None:
        documents.forget()
        for uri in documents.open:
            server.check_soon(uri, DELAY)


def _reading(server: Server) -> None:
    """Registers the requests that show information about the text."""
    documents = server.documents

    @server.feature(types.TEXT_DOCUMENT_HOVER)
    def hovered(params: types.HoverParams) -> types.Hover | None:
        found = server.place(params.text_document.uri, params.position)
        if found is None:
            return None
        analysis, offset = found
        shown = hover(analysis, offset)
        if shown is not None:
            span, text = shown
            return types.Hover(_markdown(text), documents.location(span).range)
        if analysis.earlier is not None:
            before = moved(offset, analysis.earlier.source.text, analysis.source.text)
            shown = hover(analysis.earlier, before) if before is not None else None
        return types.Hover(_markdown(shown[1])) if shown is not None else None

    @server.feature(types.TEXT_DOCUMENT_DEFINITION)
    def definition(params: types.DefinitionParams) -> types.Location | None:
        found = server.place(params.text_document.uri, params.position)
        if found is not None and (target := _imported(*found)) is not None:
            start = types.Position(0, 0)
            return types.Location(target.as_uri(), types.Range(start, start))
        named = server.occurrence(params.text_document.uri, params.position)
        if named is None or named[1].symbol.span is None:
            return None
        return documents.location(named[1].symbol.span)

    @server.feature(types.TEXT_DOCUMENT_DOCUMENT_SYMBOL)
    def symbols_of(params: types.DocumentSymbolParams) -> list[types.DocumentSymbol]:
        analysis = documents.analysis(params.text_document.uri)
        if analysis is None or analysis.file is None:
            return []
        return [_entry(entry, documents) for entry in outline(analysis.file.tree)]

    @server.feature(types.TEXT_DOCUMENT_DOCUMENT_HIGHLIGHT)
    def highlight(params: types.DocumentHighlightParams) -> list[types.DocumentHighlight]:
        found = server.place(params.text_document.uri, params.position)
        occurrence = found[0].bindings.at(found[1]) if found is not None else None
        if found is None or occurrence is None:
            return []
        kinds = {True: types.DocumentHighlightKind.Write, False: types.DocumentHighlightKind.Read}
        return [
            types.DocumentHighlight(documents.location(o.span).range, kinds[o.writes])
            for o in found[0].bindings.of(occurrence.symbol.key)
        ]


def _changing(server: Server) -> None:
    """Registers references and renaming, across files."""
    documents = server.documents

    @server.feature(types.TEXT_DOCUMENT_REFERENCES)
    def references(params: types.ReferenceParams) -> list[types.Location]:
        named = server.occurrence(params.text_document.uri, params.position)
        if named is None:
            return []
        analysis, symbol = named[0], named[1].symbol
        sources = documents.mentioning(symbol.name, analysis.source)
        found = rename.references(symbol.key, sources, documents.texts)
        with_definition = params.context.include_declaration
        return [
            documents.location(span)
            for span, _ in found
            if (with_definition or symbol.span is None or _place(span) != _place(symbol.span))
            and not (symbol.span is not None and span.in_library and not symbol.span.in_library)
        ]

    @server.feature(types.TEXT_DOCUMENT_PREPARE_RENAME)
    def prepare(params: types.PrepareRenameParams) -> types.PrepareRenamePlaceholder | None:
        found = server.place(params.text_document.uri, params.position)
        occurrence = found[0].bindings.at(found[1]) if found is not None else None
        if occurrence is None:
            return None
        with _refusals():
            rename.check_renameable(occurrence.symbol)
        return types.PrepareRenamePlaceholder(documents.location(occurrence.span).range, occurrence.symbol.name)

    @server.feature(types.TEXT_DOCUMENT_RENAME, types.RenameOptions(prepare_provider=True))
    def renamed(params: types.RenameParams) -> types.WorkspaceEdit | None:
        found = server.place(params.text_document.uri, params.position)
        occurrence = found[0].bindings.at(found[1]) if found is not None else None
        if found is None or occurrence is None:
            return None
        symbol = occurrence.symbol
        with _refusals():
            places = rename.rename(
                symbol, params.new_name, documents.mentioning(symbol.name, found[0].source), documents.texts
            )
        name = normal(params.new_name)
        edits = {
            documents.uri(source): [types.TextEdit(documents.location(span).range, name) for span in spans]
            for source, spans in places.items()
        }
        known = server.client_capabilities.workspace
        if not (known and known.workspace_edit and known.workspace_edit.document_changes):
            return types.WorkspaceEdit(changes=edits)
        versions = {document.uri: document.version for document in documents.open.values()}
        changes = [
            types.TextDocumentEdit(types.OptionalVersionedTextDocumentIdentifier(uri, versions.get(uri)), list(edit))
            for uri, edit in edits.items()
        ]
        return types.WorkspaceEdit(document_changes=changes)


def _writing(server: Server) -> None:
    """Registers completion, signature help and formatting."""
    documents = server.documents

    @server.feature(
        types.TEXT_DOCUMENT_COMPLETION, types.CompletionOptions(trigger_characters=[".", "(", ">", '"', "/"])
    )
    def complete(params: types.CompletionParams) -> types.CompletionList:
        found = server.context(params.text_document.uri, params.position)
        if found is None:
            return types.CompletionList(False, [])
        analysis, where = found
        offset = where.start + len(where.word)
        items = completion.imports(analysis, offset)
        if items is None:
            inside = completion.in_text(analysis, offset)
            items = iter(()) if inside else completion.complete(analysis, where, server.settings_for(where))
        known = server.client_capabilities.text_document
        snippets = bool(
            known and known.completion and known.completion.completion_item
            and known.completion.completion_item.snippet_support
        )  # fmt: skip
        make = partial(_item, documents=documents, analysis=analysis, offset=offset, snippets=snippets)
        return types.CompletionList(False, [make(item) for item in items])

    @server.feature(
        types.TEXT_DOCUMENT_SIGNATURE_HELP,
        types.SignatureHelpOptions(trigger_characters=["(", ","], retrigger_characters=["=", " "]),
    )
    def signature(params: types.SignatureHelpParams) -> types.SignatureHelp | None:
        found = server.context(params.text_document.uri, params.position)
        help = calls.help_at(*found, server.settings_for(found[1])) if found is not None else None
        if help is None:
            return None
        shown = types.SignatureInformation(
            help.signature.label,
            _markdown(help.signature.documentation) if help.signature.documentation else None,
            [types.ParameterInformation(place) for place in help.signature.places],
        )
        return types.SignatureHelp([shown], 0, help.active if help.active is not None else len(shown.parameters or ()))

    @server.feature(types.TEXT_DOCUMENT_FORMATTING)
    def formatted(params: types.DocumentFormattingParams) -> list[types.TextEdit] | None:
        document: Document | None = documents.open.get(params.text_document.uri)
        if document is None:
            return None
        source = document.source
        try:
            text = format_source(source)
        except ModelError:
            return None  # a broken file stays as it is; its diagnostics say why
        if "\r\n" in source.text:
            text = text.replace("\n", "\r\n")
        if text == source.text:
            return []
        return [types.TextEdit(documents.positions(source).range(0, len(source.text)), text)]


class _refusals:  # noqa: N801 - used like a function
    """Converts a refused renaming to an error of the protocol, whose text editors show."""

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, rename.RefusedError):
            raise JsonRpcInvalidParams(str(error)) from None


def _imported(analysis: Analysis, offset: int) -> Path | None:
    """The file named by the text of the import under the cursor."""
    from graphdl.language import syntax

    for item in analysis.file.tree.declarations if analysis.file is not None else ():
        if isinstance(item, syntax.Import) and item.path_span.start <= offset <= item.path_span.end:
            folders: Iterable[str] = [LIBRARY.as_posix()]
            if analysis.source.path is not None:
                folders = [os.path.dirname(analysis.source.path), *folders]
            return next(
                (p for f in folders if (p := Path(os.path.realpath(os.path.join(f, item.path)))).is_file()), None
            )
    return None


def _place(span: Span) -> tuple[str, int]:
    return span.source.path or span.source.name, span.start


def _markdown(text: str) -> types.MarkupContent:
    return types.MarkupContent(types.MarkupKind.Markdown, text)


def _entry(entry: Entry, documents: Documents) -> types.DocumentSymbol:
    return types.DocumentSymbol(
        entry.name,
        _OUTLINE.get(entry.kind, types.SymbolKind.Variable),
        documents.location(entry.span).range,
        documents.location(entry.name_span).range,
        detail=entry.detail or None,
        children=[_entry(child, documents) for child in entry.children],
    )


def _item(
    item: completion.Item, *, documents: Documents, analysis: Analysis, offset: int, snippets: bool
) -> types.CompletionItem:
    snippet = item.snippet if snippets and item.snippet is not None and "$" in item.snippet else None
    text = snippet or (item.label if item.snippet is None or "$" in item.snippet else item.snippet)
    made = types.CompletionItem(
        item.label,
        kind=_ITEMS.get(item.kind, types.CompletionItemKind.Variable),
        detail=item.detail or None,
        documentation=_markdown(item.documentation) if item.documentation else None,
        sort_text=f"{item.rank}{item.label}",
        insert_text_format=types.InsertTextFormat.Snippet if snippet else types.InsertTextFormat.PlainText,
    )
    if item.start is not None:
        made.text_edit = types.TextEdit(documents.positions(analysis.source).range(item.start, offset), text)
        made.filter_text = item.label
    else:
        made.insert_text = text
    return made
