"""The session itself: starting, ending, and files that nobody would write."""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
from pathlib import Path

from lsp_client import ROOT, Client

from graphdl.language import load_source
from graphdl.language.expansion.files import read_source
from graphdl.language_server import calls, completion
from graphdl.language_server.analysis import Analysis
from graphdl.language_server.context import context
from graphdl.language_server.hover import hover
from graphdl.language_server.outline import outline
from graphdl.source import Source


def test_it_offers_what_it_can(client: Client) -> None:
    assert client.capabilities["positionEncoding"] == "utf-16"
    assert client.capabilities["textDocumentSync"]["change"] == 1
    offered = {name for name, value in client.capabilities.items() if value}
    assert {
        "hoverProvider", "definitionProvider", "referencesProvider", "renameProvider", "completionProvider",
        "signatureHelpProvider", "documentSymbolProvider", "documentFormattingProvider", "documentHighlightProvider",
    } <= offered  # fmt: skip
    assert client.capabilities["renameProvider"]["prepareProvider"]


def test_requests_about_files_that_are_not_open(client: Client) -> None:
    place = {"textDocument": {"uri": client.uri("never.net")}, "position": {"line": 3, "character": 5}}
    assert client.request("textDocument/hover", place) is None
    assert client.request("textDocument/definition", place) is None
    assert client.request("textDocument/completion", place)["items"] == []
    assert client.request("textDocument/documentSymbol", place) == []


def test_a_text_that_is_no_file_yet(client: Client) -> None:
    uri = "untitled:Untitled-1"
    text = "net n {\n    input x: [2]\n    output y = oh\n}\n"
    document = {"uri": uri, "languageId": "graphdl", "version": 1, "text": text}
    client.notify("textDocument/didOpen", {"textDocument": document})
    place = {"textDocument": {"uri": uri}, "position": {"line": 1, "character": 10}}
    assert "input x: [2]" in client.request("textDocument/hover", place)["contents"]["value"]
    found = client.request("textDocument/definition", place)
    assert found["uri"] == uri
    edit = client.request("textDocument/rename", {**place, "newName": "wide"})
    assert edit["documentChanges"][0]["textDocument"]["uri"] == uri


def test_a_file_of_the_library_can_be_read_and_is_not_complained_about(client: Client) -> None:
    path = ROOT / "graphdl/language/library/convolution.net"
    client.texts[path.as_uri()] = text = path.read_text(encoding="utf-8")
    document = {"uri": path.as_uri(), "languageId": "graphdl", "version": 1, "text": text}
    client.notify("textDocument/didOpen", {"textDocument": document})
    line = next(i for i, one in enumerate(text.split("\n")) if one.startswith("block conv("))
    place = {"textDocument": {"uri": path.as_uri()}, "position": {"line": line, "character": 7}}
    assert "block conv(" in client.request("textDocument/hover", place)["contents"]["value"]


def test_without_pygls_it_says_what_to_install(tmp_path: Path) -> None:
    for name in ("pygls", "lsprotocol"):
        (tmp_path / f"{name}.py").write_text(f"raise ModuleNotFoundError('No module named {name}', name='{name}')\n")
    paths = os.pathsep.join([str(tmp_path), str(ROOT)])
    result = subprocess.run(
        [sys.executable, "-m", "graphdl", "lsp"], env={**os.environ, "PYTHONPATH": paths}, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert result.returncode == 3
    assert "pip install 'graphdl[editor]'" in result.stderr
    assert "Traceback" not in result.stderr


def test_damaged_files_are_answered_about() -> None:
    """Every answer, at places of damaged models: none raises, and names stand where they are said to stand."""
    random_ = random.Random(20)
    names = ("vision/lenet.net", "vision/siamese.net", "generative/rbm.net", "sequence/attention_nmt.net")
    sources = [load_source(ROOT / "models" / name) for name in names]
    pieces = sorted({piece for source in sources for piece in re.findall(r"\w+|[^\w\s]", source.text)} | {"😀", "\n"})
    for number in range(60):
        source = sources[number % len(sources)]
        text = source.text
        for _ in range(random_.choice([1, 2, 4])):
            place = random_.randrange(len(text) + 1)
            cut = random_.choice([0, 0, 1, 9, len(text)])
            text = text[:place] + random_.choice(pieces) + text[place + cut :]
        analysis = Analysis(Source(source.name, text, source.path), read_source)
        analysis.finish()
        for occurrence in analysis.bindings.occurrences:
            assert occurrence.span.text == occurrence.symbol.name
            hover(analysis, occurrence.span.start)
        assert analysis.file is not None
        list(outline(analysis.file.tree))
        for place in random_.choices(range(len(text) + 1), k=20):
            where = context(text, analysis.tokens, place)
            list(completion.complete(analysis, where, {}))
            list(completion.imports(analysis, place) or ())
            calls.help_at(analysis, where, {})
