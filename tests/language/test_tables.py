"""The saved parse tables are those of the grammar, and nothing breaks without them."""

import json
import subprocess
import sys

import pytest
from test_parser import BLOCKS
from trees import plain

from graphdl.language import tables as module
from graphdl.language.parser import parse
from graphdl.language.tables import tables
from graphdl.resources import resource
from graphdl.source import Source


@pytest.fixture
def fresh_tables():
    tables.cache_clear()
    yield
    tables.cache_clear()


def test_the_saved_tables_are_current():
    grammar = resource("grammar/net.lark").read_text(encoding="utf-8")
    saved = json.loads(module.SAVED.read_text(encoding="utf-8"))
    built = module._build(grammar)
    help = "run: python -m graphdl.language.tables"
    assert saved["grammar"] == built["grammar"], help
    assert sorted(saved["literals"]) == sorted(built["literals"]), help
    assert sorted(map(str, saved["reductions"])) == sorted(map(str, built["reductions"])), help
    assert len(saved["actions"]) == len(built["actions"]), help
    assert sorted(sorted(row) for row in saved["actions"]) == sorted(sorted(row) for row in built["actions"]), help


@pytest.mark.parametrize("content", [None, "", "{", "[]", "{}", '{"grammar": 1}', "stale", "\udcff"])
def test_without_good_saved_tables_they_are_built(tmp_path, monkeypatch, fresh_tables, content):
    expected = plain(parse(Source("test.net", BLOCKS))[0].declarations)
    saved = tmp_path / "tables.json"
    if content == "stale":
        data = json.loads(module.SAVED.read_text(encoding="utf-8"))
        saved.write_text(json.dumps({**data, "grammar": 0, "actions": [], "gotos": []}))
    elif content is not None:
        saved.write_text(content, errors="surrogateescape")
    monkeypatch.setattr(module, "SAVED", saved)
    tables.cache_clear()
    assert plain(parse(Source("test.net", BLOCKS))[0].declarations) == expected


def test_parsing_does_not_import_lark():
    program = (
        "import sys; from graphdl.source import Source; from graphdl.language.parser import parse;"
        "parse(Source('test.net', 'net a { x = 3 }')); print('lark' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout == "False\n"
