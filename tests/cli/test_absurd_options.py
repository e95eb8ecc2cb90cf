"""Numbers on the command line that no machine can serve are refused, and soon."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from graphdl.cli import main

NET = """net n() {
    input x: [4]
    input label: class(3)
    logits = x -> linear(3)
    output y = softmax(logits)
    loss cross_entropy(logits, label)
}
"""


@pytest.mark.parametrize("batch", ["99999999999999999999", str(2**63), str(2**31)])
@pytest.mark.parametrize("what", [[], ["--inference"]], ids=["training", "inference"])
def test_a_batch_beyond_what_kernels_count(tmp_path: Path, batch: str, what: list[str]) -> None:
    file = tmp_path / "a.net"
    file.write_text(NET, "utf-8")
    start = time.process_time()
    result = CliRunner().invoke(main, ["compile", "--batch", batch, *what, str(file)])
    assert result.exit_code == 1
    assert "error[E0302]: with the batch, a tensor has" in result.stderr
    assert time.process_time() - start < 10


def test_a_large_batch_is_planned_soon(tmp_path: Path) -> None:
    file = tmp_path / "a.net"
    file.write_text(NET, "utf-8")
    start = time.process_time()
    assert CliRunner().invoke(main, ["compile", "--batch", "500000000", str(file)]).exit_code == 0
    assert time.process_time() - start < 10
