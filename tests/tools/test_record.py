"""``tools/record.py``: the gallery is the recorded one, and the rows that take seconds give their figures."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))

from recorded import gallery, runner
from recorded.results import ROOT, read_records
from recorded.rows import ROWS

pytest.importorskip("matplotlib")
QUICK = [name for name, row in ROWS.items() if row.quick]


def test_the_gallery_is_up_to_date() -> None:
    page = gallery.gallery(ROWS)
    assert (ROOT / "models" / "README.md").read_text("utf-8") == page.text
    assert {path.name: path.read_text("utf-8") for path in gallery.GRAPHS.iterdir()} == page.graphs


def test_every_record_has_its_row_and_pictures() -> None:
    for name, record in read_records().items():
        assert name in ROWS
        assert all((ROOT / "models" / "pictures" / picture).is_file() for picture in record.pictures)


@pytest.mark.parametrize("name", QUICK)
def test_quick_rows_reach_their_figures(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "PICTURES", tmp_path)
    figures = ROWS[name].measure(runner.Runner(tmp_path))
    assert [str(figure) for figure in figures if figure.reached is False] == []
    assert figures
