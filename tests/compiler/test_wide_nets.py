"""Fusion and the order of kernels take time in proportion to their number."""

from __future__ import annotations

import time
from pathlib import Path

from click.testing import CliRunner

from graphdl.cli import main


def test_a_concatenation_of_thousands(tmp_path: Path) -> None:
    file = tmp_path / "wide.net"
    file.write_text("net n() {\n    input x: [4]\n    output y = concat([x * k for k in 0..3000])\n}\n", "utf-8")
    start = time.process_time()
    result = CliRunner().invoke(main, ["compile", str(file)])
    assert result.exit_code == 0, result.output
    assert time.process_time() - start < 10
