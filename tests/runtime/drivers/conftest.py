from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from graphdl.cache import cache_folder

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs Python code in a process of its own, with a cache of its own and without the variables that choose drivers.

    Keyword arguments are variables; None takes one away.
    """

    cache = tmp_path / "cache"
    for verdicts in ("selftest", "speeds"):  # what is known of the devices need not be found out again
        if (cache_folder() / verdicts).is_dir():
            shutil.copytree(cache_folder() / verdicts, cache / "graphdl" / verdicts)

    def run(code: str, folder: Path = tmp_path, **variables: str | None) -> subprocess.CompletedProcess[str]:
        environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("CL_CONFIG_", "OCL_", "OPENCL_", "POCL_", "PYOPENCL_"))
        }
        environment["XDG_CACHE_HOME"] = str(cache)
        for name, value in variables.items():
            environment.pop(name, None)
            if value is not None:
                environment[name] = value
        return subprocess.run(
            [sys.executable, "-c", code], env=environment, cwd=folder, capture_output=True, text=True, check=False
        )

    return run
