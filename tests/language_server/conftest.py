from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from lsp_client import Client


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A running server on a folder of its own; it ends cleanly, and without a traceback."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "pyproject.toml").touch()
    client = Client(folder)
    yield client
    assert client.close() == 0


@pytest.fixture
def project(client: Client) -> Path:
    return client.folder
