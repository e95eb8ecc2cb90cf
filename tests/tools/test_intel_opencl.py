"""The launcher that makes Intel's runtime visible: what a command that it starts gets to see."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest

PATH = Path(__file__).parents[2] / "tools" / "intel_opencl.py"

SHOW = """
import json, os, pathlib, sys
vendors = pathlib.Path(os.environ["OCL_ICD_VENDORS"])
seen = {"path": os.environ["LD_LIBRARY_PATH"], **{file.name: file.read_text() for file in vendors.iterdir()}}
pathlib.Path(sys.argv[1]).write_text(json.dumps(seen))
sys.exit(5)
"""


@pytest.fixture
def launcher():
    spec = importlib.util.spec_from_file_location("intel_opencl", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_command_sees_intels_driver_beside_the_systems(launcher, monkeypatch, tmp_path):
    driver = tmp_path / "lib" / "libintelocl.so"
    driver.parent.mkdir()
    driver.touch()
    (tmp_path / "other.icd").write_text("libother.so\n")
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    monkeypatch.setenv("OCL_ICD_VENDORS", str(tmp_path))
    monkeypatch.setenv("LD_LIBRARY_PATH", "/before")
    out = tmp_path / "seen.json"
    assert launcher.main(["--", sys.executable, "-c", SHOW, str(out)]) == 5
    assert json.loads(out.read_text()) == {
        "path": f"{driver.parent}:/before",
        "intel-cpu.icd": f"{driver}\n",
        "other.icd": "libother.so\n",
    }


def test_without_the_package_it_says_what_to_install(launcher, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    assert launcher.main(["--", "true"]) == 3
    assert "pip install intel-opencl-rt" in capsys.readouterr().err


def test_without_a_command_it_shows_its_usage(launcher, capsys):
    assert launcher.main(["--"]) == 2
    assert capsys.readouterr().err.startswith("usage:")
