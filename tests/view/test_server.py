"""Following a run: on the loopback interface alone, and only for requests that name it."""

from __future__ import annotations

import http.client
import json
import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from graphdl.model import Model
from graphdl.source import Source
from graphdl.training.run import RunFolder, create
from graphdl.view.server import RunServer

NET = "net tiny { input x: [2]\n loss mean(x -> linear(1) as f)\n }"


def epoch(number: int) -> dict[str, object]:
    return {"kind": "epoch", "stage": "train", "epoch": number, "step": number, "loss": 1.0, "metrics": {}, "lr": 0.1}


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    settings = {"net": None, "set": {}, "overrides": {}, "seed": 0}
    folder = create(tmp_path / "run", [Source("tiny.net", NET, str(tmp_path / "tiny.net"))], settings)
    folder.record(epoch(1))
    return folder


@pytest.fixture
def server(run: RunFolder) -> Iterator[RunServer]:
    with RunServer(run, Model.of_run(run)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def get(server: RunServer, path: str, host: str | None = None) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
    try:
        connection.request("GET", path, headers={} if host is None else {"Host": host})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def test_the_page_and_the_metrics_so_far_are_served(server, run):
    status, body = get(server, "/")
    assert status == 200
    assert b"connect-src 'self'" in body
    assert [r["epoch"] for r in json.loads(get(server, "/records")[1])] == [1]
    run.record(epoch(2))
    assert [r["epoch"] for r in json.loads(get(server, "/records")[1])] == [1, 2]


def test_nothing_else_is_served(server):
    assert get(server, "/settings.json")[0] == 404
    assert get(server, "/../settings.json")[0] == 404


def test_a_name_that_somebody_points_here_is_refused(server):
    assert get(server, "/records", host="evil.example")[0] == 403
    assert get(server, "/records", host=f"localhost:{server.server_port}")[0] == 200


def test_only_the_loopback_interface_is_listened_on(server):
    assert server.server_address[0] == "127.0.0.1"


def test_a_run_folder_that_vanishes_is_no_fault_of_the_server(server, run, capfd):
    moved = run.path.rename(run.path.with_name("moved"))
    assert get(server, "/records")[0] == 410
    assert get(server, "/")[0] == 200
    moved.rename(run.path)
    assert [r["epoch"] for r in json.loads(get(server, "/records")[1])] == [1]
    (run.path / "metrics.jsonl").write_text('{"loss": NaN}\n')
    status, body = get(server, "/records")
    assert (status, b"damaged in line 1" in body) == (410, True)
    assert capfd.readouterr().err == ""


def test_connections_that_keep_silent_are_closed(server, monkeypatch, capfd):
    monkeypatch.setattr("graphdl.view.server._Handler.timeout", 0.2)
    with socket.create_connection(("127.0.0.1", server.server_port), timeout=10) as connection:
        assert connection.recv(1) == b""
    with socket.create_connection(("127.0.0.1", server.server_port), timeout=10) as connection:
        connection.sendall(b"GET / HT")
        assert connection.recv(1) == b""
    assert get(server, "/")[0] == 200
    assert capfd.readouterr().err == ""


def test_a_browser_that_goes_in_the_middle_of_an_answer_is_not_spoken_of(server, capfd):
    for _ in range(3):
        connection = socket.create_connection(("127.0.0.1", server.server_port), timeout=10)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.sendall(f"GET / HTTP/1.0\r\nHost: 127.0.0.1:{server.server_port}\r\n\r\n".encode())
        connection.close()  # with a reset
    assert get(server, "/")[0] == 200
    assert capfd.readouterr().err == ""
