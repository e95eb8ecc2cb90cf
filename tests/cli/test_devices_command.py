"""``graphdl devices`` on the machine at hand."""

import json

from click.testing import CliRunner

from graphdl.cli import devices, main
from graphdl.runtime import all_devices, choose
from graphdl.runtime.drivers.loader import runtimes


def test_json_tells_every_device_and_the_choice():
    result = CliRunner().invoke(main, ["devices", "--json"])
    assert result.exit_code == 0
    found = json.loads(result.stdout)
    assert [entry["index"] for entry in found] == [info.index for info in all_devices()]
    assert [entry["index"] for entry in found if entry["chosen"]] == [choose().index]
    assert sorted(entry["rank"] for entry in found) == list(range(1, len(found) + 1))


def test_text_says_why():
    result = CliRunner().invoke(main, ["devices"])
    assert result.exit_code == 0
    info = choose()
    assert f"{info.index}: {info.name}\n" in result.stdout
    assert f"chosen: {', '.join(info.reasons)}" in result.stdout
    assert "\x1b" not in result.stdout


def test_no_device_is_3(monkeypatch):
    monkeypatch.setattr(devices, "all_devices", list)
    result = CliRunner().invoke(main, ["devices"])
    assert result.exit_code == 3
    assert "pip install" in result.stderr


def test_every_runtime_is_named_with_its_place():
    text = CliRunner().invoke(main, ["devices"]).stdout
    for runtime in runtimes():
        assert f"runtime {runtime.library}\n   from {runtime.origin}\n" in text
