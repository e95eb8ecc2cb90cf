"""A client of the Language Server Protocol for the tests: a real process, real pipes, plain JSON."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
CURSOR = "‸"
TIMEOUT = 30.0


class RefusedError(Exception):
    """The server answered with an error."""


class Client:
    """``graphdl lsp``, started and initialized. ``folder`` is the editor's workspace; a ``simple`` editor knows neither
    snippets nor edits with versions."""

    def __init__(self, folder: Path, *, encodings: list[str] | None = None, simple: bool = False) -> None:
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "graphdl", "lsp"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=folder, env=environment,
        )  # fmt: skip
        self.folder = folder
        self.answers: queue.Queue[dict[str, Any]] = queue.Queue()
        self.notes: list[dict[str, Any]] = []
        self.texts: dict[str, str] = {}
        self.versions: dict[str, int] = {}
        self.count = 0
        self.errors: list[bytes] = []
        self.readers = [threading.Thread(target=self._read), threading.Thread(target=self._read_errors)]
        for reader in self.readers:
            reader.start()
        capabilities: dict[str, Any] = {
            "textDocument": {
                "completion": {"completionItem": {"snippetSupport": not simple}},
                "rename": {"prepareSupport": True},
            },
            "workspace": {"workspaceEdit": {"documentChanges": not simple}},
            "general": {"positionEncodings": encodings or ["utf-16"]},
        }
        self.capabilities = self.request(
            "initialize",
            {
                "processId": os.getpid(),
                "rootUri": folder.as_uri(),
                "capabilities": capabilities,
                "workspaceFolders": [{"uri": folder.as_uri(), "name": "folder"}],
            },
        )["capabilities"]
        self.notify("initialized", {})

    # ------------------------------------------------------------------------------------------------------ transport

    def _read(self) -> None:
        assert self.process.stdout is not None
        while True:
            length = 0
            while (line := self.process.stdout.readline().strip()) != b"":
                name, _, value = line.partition(b":")
                if name.lower() == b"content-length":
                    length = int(value)
            if not length:
                return
            self.answers.put(json.loads(self.process.stdout.read(length)))

    def _read_errors(self) -> None:
        assert self.process.stderr is not None
        self.errors.extend(self.process.stderr)

    def send(self, message: dict[str, Any]) -> None:
        assert self.process.stdin is not None
        data = json.dumps({"jsonrpc": "2.0", **message}).encode()
        self.process.stdin.write(b"Content-Length: %d\r\n\r\n" % len(data) + data)
        self.process.stdin.flush()

    def notify(self, method: str, params: Any) -> None:
        self.send({"method": method, "params": params})

    def request(self, method: str, params: Any) -> Any:
        self.count += 1
        self.send({"id": self.count, "method": method, "params": params})
        while True:
            message = self.answers.get(timeout=TIMEOUT)
            if message.get("id") == self.count and "method" not in message:
                if "error" in message:
                    raise RefusedError(message["error"]["message"])
                return message.get("result")
            self.notes.append(message)

    def close(self) -> int:
        """Ends the session as the protocol has it. The exit code, after the check that nothing went wrong inside."""
        self.request("shutdown", None)
        self.notify("exit", None)
        assert self.process.stdin is not None
        self.process.stdin.close()
        code = self.process.wait(TIMEOUT)
        for reader in self.readers:
            reader.join(TIMEOUT)
        for stream in (self.process.stdout, self.process.stderr):
            assert stream is not None
            stream.close()
        assert not any(b"Traceback" in line for line in self.errors), b"".join(self.errors).decode()
        return code

    # ------------------------------------------------------------------------------------------------------ documents

    def uri(self, name: str) -> str:
        return (self.folder / name).as_uri()

    def open(self, name: str, text: str) -> dict[str, int] | None:
        """Opens a file, or gives it a new text. Returns the position of the mark ``‸`` if the text holds one."""
        mark = text.find(CURSOR)
        text = text.replace(CURSOR, "")
        uri = self.uri(name)
        if uri in self.texts:
            self.versions[uri] += 1
            document = {"uri": uri, "version": self.versions[uri]}
            self.notify("textDocument/didChange", {"textDocument": document, "contentChanges": [{"text": text}]})
        else:
            self.versions[uri] = 0
            document = {"uri": uri, "languageId": "net", "version": 0, "text": text}
            self.notify("textDocument/didOpen", {"textDocument": document})
        self.texts[uri] = text
        return None if mark < 0 else position(text, mark)

    def at(self, method: str, name: str, text: str, **more: Any) -> Any:
        """Opens a text and asks about the place that it marks."""
        place = self.open(name, text)
        assert place is not None
        return self.request(method, {"textDocument": {"uri": self.uri(name)}, "position": place, **more})

    def diagnostics(self, name: str, text: str) -> list[dict[str, Any]]:
        """Opens a text and waits for what is said about it."""
        self.open(name, text)
        return self.published(name)

    def published(self, name: str) -> list[dict[str, Any]]:
        """What is said next about the last text of a file."""
        uri = self.uri(name)
        while True:
            for note in self.notes:
                if note.get("method") != "textDocument/publishDiagnostics" or note["params"]["uri"] != uri:
                    continue
                self.notes.remove(note)
                if note["params"].get("version") in (None, self.versions[uri]):
                    return note["params"]["diagnostics"]
                break
            else:
                self.notes.append(self.answers.get(timeout=TIMEOUT))

    def hover(self, name: str, text: str) -> str | None:
        answer = self.at("textDocument/hover", name, text)
        return None if answer is None else answer["contents"]["value"]

    def completion(self, name: str, text: str) -> dict[str, dict[str, Any]]:
        answer = self.at("textDocument/completion", name, text)
        return {item["label"]: item for item in answer["items"]}

    def applied(self, edit: dict[str, Any]) -> dict[str, str]:
        """The texts after a workspace edit, by file name."""
        result = {}
        for change in edit["documentChanges"]:
            uri = change["textDocument"]["uri"]
            path = Path(uri.removeprefix("file://"))
            text = self.texts.get(uri) or path.read_text(encoding="utf-8")
            for one in sorted(change["edits"], key=lambda e: offset(text, e["range"]["start"]), reverse=True):
                start, end = (offset(text, one["range"][side]) for side in ("start", "end"))
                text = text[:start] + one["newText"] + text[end:]
            result[path.name] = text
        return result


def position(text: str, place: int) -> dict[str, int]:
    """Of an offset, in UTF-16 units."""
    before = text[:place]
    line = before.rpartition("\n")[2]
    return {"line": before.count("\n"), "character": len(line.encode("utf-16-le")) // 2}


def offset(text: str, place: dict[str, int]) -> int:
    lines = text.split("\n")
    line = lines[place["line"]].encode("utf-16-le")[: 2 * place["character"]].decode("utf-16-le")
    return sum(len(one) + 1 for one in lines[: place["line"]]) + len(line)


def covered(text: str, where: dict[str, Any]) -> str:
    """The text of a range."""
    return text[offset(text, where["start"]) : offset(text, where["end"])]
