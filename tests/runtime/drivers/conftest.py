from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs Python code in a process of its own, with a cache of its own and without the variables that choose drivers.

    Keyword arguments are variables; None takes one away.
    """

    def run(code: str, folder: Path = tmp_path, **variables: str | None) -> subprocess.CompletedProcess[str]:
        environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("CL_CONFIG_", "OCL_", "OPENCL_", "POCL_", "PYOPENCL_"))
        }
        environment["XDG_CACHE_HOME"] = str(tmp_path / "cache")
        for name, value in variables.items():
            environment.pop(name, None)
            if value is not None:
                environment[name] = value
        return subprocess.run(
            [sys.executable, "-c", code], env=environment, cwd=folder, capture_output=True, text=True, check=False
        )

    return run
