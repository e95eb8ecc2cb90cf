import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder of real data sets that GRAPHDL_DATA names; tests that need it are skipped without it."""
    named = os.environ.get("GRAPHDL_DATA")
    if not named:
        pytest.skip("needs real data: set GRAPHDL_DATA to a folder with mnist/ and cifar10/")
    root = Path(named)
    if not root.is_dir():
        pytest.fail(f"GRAPHDL_DATA names {root}, which is no folder")
    return root
