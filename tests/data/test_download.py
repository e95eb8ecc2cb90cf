"""Downloads, against a server on the loopback."""

import gzip
import hashlib
import io
import socket
import struct
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import numpy as np
import pytest

from graphdl.data.download import Archive, fetch
from graphdl.data.idx import FASHION_ARCHIVES, MNIST_ARCHIVES
from graphdl.data.published import FILES
from graphdl.data.sets import load

CONTENT = bytes(range(256)) * 8192  # more than one chunk of the copy
ARCHIVE = Archive("set.gz", len(CONTENT), hashlib.sha256(CONTENT).hexdigest(), ())


class Handler(BaseHTTPRequestHandler):
    """Answers by the first folder of the path: what a good, a missing, a wrong, a broken mirror would."""

    files: ClassVar[dict[str, bytes]] = {}
    """What the mirror ``files`` has, by name."""

    def do_GET(self):
        _, kind, name = self.path.split("/")
        content = {
            "good": CONTENT,
            "wrong": CONTENT[:-1] + b"\0",
            "short": CONTENT[: len(CONTENT) // 2],
            "page": b"<html>moved</html>",
            "long": CONTENT + b"\0",
            "files": self.files.get(name),
        }.get(kind)
        if content is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT) if kind == "short" else len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments):
        pass


@pytest.fixture(scope="module")
def server():
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as served:
        thread = threading.Thread(target=served.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{served.server_address[1]}"
        served.shutdown()
        thread.join()


def published(name, content):
    """An archive of this content, which the mirror ``files`` has."""
    Handler.files[name] = content
    return Archive(name, len(content), hashlib.sha256(content).hexdigest(), ())


def test_good_file(server, tmp_path):
    path = fetch(ARCHIVE, tmp_path / "new", mirrors=[f"{server}/good/"])
    assert path == tmp_path / "new" / "set.gz"
    assert path.read_bytes() == CONTENT
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("missing", "HTTP 404 Not Found"),
        ("wrong", "sent another file: its SHA-256 is "),
        ("short", f"broke off after {len(CONTENT) // 2} of {len(CONTENT)} bytes"),
        ("page", f"broke off after 18 of {len(CONTENT)} bytes"),
        ("long", f"sent more than the expected {len(CONTENT)} bytes"),
    ],
)
def test_bad_mirror(server, tmp_path, complaint, kind, reason):
    found = complaint("E0708", fetch, ARCHIVE, tmp_path, mirrors=[f"{server}/{kind}/"])
    assert found.message == "set.gz could not be downloaded"
    (note,) = found.notes
    assert note.startswith(f"{server}/{kind}/set.gz: {reason}")
    assert list(tmp_path.iterdir()) == []


def test_the_next_mirror_is_tried(server, tmp_path):
    mirrors = [f"{server}/{kind}/" for kind in ("missing", "wrong", "short", "good")]
    assert fetch(ARCHIVE, tmp_path, mirrors=mirrors).read_bytes() == CONTENT
    assert [path.name for path in tmp_path.iterdir()] == ["set.gz"]


def test_a_good_file_survives_a_failed_download(server, tmp_path, complaint):
    (tmp_path / "set.gz").write_bytes(b"kept")
    complaint("E0708", fetch, ARCHIVE, tmp_path, mirrors=[f"{server}/short/"])
    assert (tmp_path / "set.gz").read_bytes() == b"kept"


def test_nobody_listens(tmp_path, complaint):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    found = complaint("E0708", fetch, ARCHIVE, tmp_path, mirrors=[f"http://127.0.0.1:{port}/"])
    assert "refused" in found.notes[0]


def test_folder_that_cannot_be_made(server, tmp_path, complaint):
    (tmp_path / "file").write_text("")
    found = complaint("E0708", fetch, ARCHIVE, tmp_path / "file", mirrors=[f"{server}/good/"])
    assert "cannot be written" in found.message


def test_load_downloads_only_when_asked(server, tmp_path, complaint):
    mirrors = [f"{server}/missing/"]
    complaint("E0704", load, "mnist", root=tmp_path, mirrors=mirrors)
    found = complaint("E0708", load, "mnist", root=tmp_path, mirrors=mirrors, download=True)
    assert found.notes == (f"{server}/missing/train-images-idx3-ubyte.gz: HTTP 404 Not Found",)
    found = complaint("E0708", load, "cifar10", root=tmp_path, mirrors=mirrors, download=True)
    assert found.notes == (f"{server}/missing/cifar-10-binary.tar.gz: HTTP 404 Not Found",)


def test_load_downloads_what_is_missing(server, tmp_path, monkeypatch):
    archives = {}
    for prefix, count in (("train", 3), ("t10k", 2)):
        images = struct.pack(">4I", 0x0803, count, 28, 28) + bytes(count * 784)
        kinds = struct.pack(">2I", 0x0801, count) + bytes(range(count))
        for name, content in ((f"{prefix}-images-idx3-ubyte", images), (f"{prefix}-labels-idx1-ubyte", kinds)):
            archives[name] = published(f"{name}.gz", gzip.compress(content))
    monkeypatch.setattr("graphdl.data.idx.MNIST_ARCHIVES", archives)
    dataset = load("mnist", root=tmp_path, mirrors=[f"{server}/files/"], download=True)
    assert {name: len(split) for name, split in dataset.splits.items()} == {"train": 3, "test": 2}
    # Now they are there: the second time nothing is fetched.
    assert len(load("mnist", root=tmp_path, mirrors=[f"{server}/missing/"], download=True).splits["train"]) == 3


def test_load_downloads_published_files(server, tmp_path, monkeypatch, call, complaint):
    setting = call("text", "tinyshakespeare/input.txt", length=4)
    mirrors = [f"{server}/files/"]
    assert "--download" in complaint("E0704", load, setting, root=tmp_path, mirrors=mirrors).help
    known = {"tinyshakespeare/input.txt": published("input.txt", b"to be or not to be" * 9)}
    monkeypatch.setattr("graphdl.data.request.FILES", known)
    assert load(setting, root=tmp_path, mirrors=mirrors, download=True).types["text"].shape == (4,)
    assert [path.name for path in (tmp_path / "tinyshakespeare").iterdir()] == ["input.txt"]
    other = call("text", "other.txt")
    assert "--download" not in complaint("E0704", load, other, root=tmp_path, mirrors=mirrors, download=True).help


def test_load_downloads_and_unpacks_cifar(server, tmp_path, monkeypatch):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name in [*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin"]:
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            member.size = 3073
            tar.addfile(member, io.BytesIO(b"\x07" + bytes(3072)))
    monkeypatch.setattr("graphdl.data.cifar.ARCHIVE", published("cifar-10-binary.tar.gz", buffer.getvalue()))
    dataset = load("cifar10", root=tmp_path, mirrors=[f"{server}/files/"], download=True)
    assert dataset.splits["train"].fields["label"].take(np.arange(5)).tolist() == [7] * 5
    assert [path.name for path in (tmp_path / "cifar10").iterdir()] == ["cifar-10-batches-bin"]


def test_checksums_are_those_of_the_official_files(data_root):
    # The archive of the training images there was packed again; the other three are as published.
    checked = 0
    for name, archive in MNIST_ARCHIVES.items():
        content = (data_root / "mnist" / archive.name).read_bytes()
        if name != "train-images-idx3-ubyte":
            assert hashlib.sha256(content).hexdigest() == archive.sha256
            assert len(content) == archive.size
            checked += 1
    assert checked == 3
    for name, archive in FILES.items():
        content = (data_root / name).read_bytes()
        assert (hashlib.sha256(content).hexdigest(), len(content)) == (archive.sha256, archive.size)


def test_every_archive_has_a_whole_checksum():
    for archive in [*MNIST_ARCHIVES.values(), *FASHION_ARCHIVES.values()]:
        assert len(bytes.fromhex(archive.sha256)) == 32
        assert all(mirror.endswith("/") for mirror in archive.mirrors)
