from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from graphdl.runtime import Device

# One setting chooses the device for all tests and the processes that they start.
if os.environ.get("GRAPHDL_TEST_DEVICE"):
    os.environ["GRAPHDL_DEVICE"] = os.environ["GRAPHDL_TEST_DEVICE"]


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


@pytest.fixture(scope="session")
def device() -> Device:
    """The OpenCL device that GRAPHDL_TEST_DEVICE selects; without it, the one that would be chosen by default."""
    from graphdl.runtime.devices import open_device

    return open_device()
