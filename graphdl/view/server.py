"""Follows a run: serves its page and the current lines of its metrics, on the loopback interface only."""

from __future__ import annotations

import sys
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from graphdl import strict_json
from graphdl.diagnostics import ModelError
from graphdl.training.run import RunFolder, open_run
from graphdl.view.bundles import document_of
from graphdl.view.page import page

if TYPE_CHECKING:
    from graphdl.model import Model

HOST = "127.0.0.1"
IDLE_SECONDS = 30.0
"""Seconds of silence after which a connection is closed."""


class RunServer(ThreadingHTTPServer):
    """Serves ``/`` (the page) and ``/records`` (the metrics so far) of one run folder.

    Only requests with the name of this machine are answered. So a script of another site cannot read them through a
    name that it points here.

    Raises:
        OSError: the port is taken.
    """

    daemon_threads = True

    def __init__(self, run: RunFolder, model: Model, *, port: int = 0) -> None:
        """``model`` is that of the run: see ``Model.of_run``."""
        self.folder = run.path
        bundle = {
            "documents": [document_of(model)],
            "run": {"name": run.path.name, "records": run.records},
            "follows": True,
        }
        self.page = page(f"{model.name}: {run.path.name}", bundle, follows=True).encode()
        super().__init__((HOST, port), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignores errors of connections that a browser has closed. Other errors are faults of this program."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.server_port}/"


class _Handler(BaseHTTPRequestHandler):
    server: RunServer
    timeout = IDLE_SECONDS

    def do_GET(self) -> None:
        names = {f"{host}:{self.server.server_port}" for host in (HOST, "localhost")}
        if self.headers.get("Host") not in names:
            self.send_error(HTTPStatus.FORBIDDEN)
        elif self.path == "/":
            self._answer(self.server.page, "text/html; charset=utf-8")
        elif self.path == "/records":
            self._answer_records()
        else:
            self.send_error(HTTPStatus.NOT_FOUND)

    def _answer_records(self) -> None:
        try:
            records = open_run(self.server.folder).records
        except ModelError as error:  # it was removed or damaged meanwhile
            self.send_error(HTTPStatus.GONE, explain=error.diagnostics[0].message)
            return
        self._answer(strict_json.encode(records).encode(), "application/json")

    def _answer(self, body: bytes, kind: str) -> None:
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Logs nothing: the terminal belongs to the user."""


def follow_run(run: RunFolder, model: Model, *, port: int, opens: bool, report: Callable[[str], None]) -> None:
    """Serves a run until it is interrupted.

    Raises:
        OSError: the port is taken.
    """
    with RunServer(run, model, port=port) as server:
        report(f"{server.url}  (Ctrl-C ends it)")
        if opens:
            import webbrowser

            webbrowser.open(server.url)
        server.serve_forever()
