"""The compiler's passes take time in proportion to the size of a net."""

from __future__ import annotations

import resource
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from graphdl.cli import main


def test_a_concatenation_of_thousands(tmp_path: Path) -> None:
    file = tmp_path / "wide.net"
    file.write_text("net n() {\n    input x: [4]\n    output y = concat([x * k for k in 0..3000])\n}\n", "utf-8")
    start = time.process_time()
    result = CliRunner().invoke(main, ["compile", str(file)])
    assert result.exit_code == 0, result.output
    assert time.process_time() - start < 10


@pytest.mark.slow
def test_thousands_of_parameters(tmp_path: Path) -> None:
    count = 8000
    lines = [
        "net n() {",
        "    input x: [4]",
        *(f"    param p{k}: [4] = zeros()" for k in range(count)),
        "    y = x",
        *(f"    y = y + p{k}" for k in range(count)),
        "    loss mean(y)",
        "}",
    ]
    file = tmp_path / "parameters.net"
    file.write_text("\n".join(lines) + "\n", "utf-8")
    start = time.process_time()
    result = CliRunner().invoke(main, ["compile", str(file)])
    assert result.exit_code == 0, result.output
    assert time.process_time() - start < 15  # other processes on the machine slow it down, too
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 1024**2  # KiB
