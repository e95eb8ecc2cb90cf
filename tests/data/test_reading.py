"""How files of data are opened, bounded and complained about; where data sets are looked for; arguments that several
data sets check."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from graphdl.data import augmentations, declared
from graphdl.data.arguments import Declared, fraction, named, two
from graphdl.data.known import Known
from graphdl.data.reading import GIB, LIMIT, Reading
from graphdl.data.request import DataRequest, default_root
from graphdl.diagnostics import Diagnostic, ModelError
from graphdl.settings import SettingCall

Complaint = Callable[..., Diagnostic]


def opened(path: Path, reading: Reading | None = None) -> bytes:
    with (reading or Reading()).open(path) as file:
        return file.read()


def test_an_ordinary_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert opened(tmp_path / "a") == b"abc"


def test_a_missing_file(tmp_path: Path, complaint: Complaint) -> None:
    assert complaint("E0704", opened, tmp_path / "a").message == f"there is no file {tmp_path / 'a'}"


def test_a_folder_is_no_file(tmp_path: Path, complaint: Complaint) -> None:
    found = complaint("E0705", opened, tmp_path)
    assert found.message == f"{tmp_path} cannot be read: it is a folder"
    assert found.help == "name the files in it"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such files")
def test_a_pipe_and_a_device_are_refused_at_once(tmp_path: Path, complaint: Complaint) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/null")):
        assert complaint("E0705", opened, path).message == f"{path} cannot be read: it is a device, not a file"


def test_what_fails_while_a_file_is_read_is_a_complaint(tmp_path: Path, complaint: Complaint) -> None:
    (tmp_path / "a").write_bytes(b"abc")

    def read() -> None:
        with Reading().open(tmp_path / "a"):
            raise OSError(5, "Input/output error")

    assert complaint("E0705", read).message == f"{tmp_path / 'a'} cannot be read: Input/output error"


def test_complaints_point_at_the_setting(tmp_path: Path, call: Callable[..., Any], complaint: Complaint) -> None:
    setting = call("csv", "a.csv")
    reading = Reading(setting.span)
    for code, error in (("E0705", reading.damaged(tmp_path, "cut off")), ("E0709", reading.error("E0709", "no"))):
        (diagnostic,) = error.diagnostics
        assert (diagnostic.code, diagnostic.span) == (code, setting.span)
    assert reading.damaged(tmp_path, "cut off").diagnostics[0].help == "delete the file and get it again"


@pytest.mark.parametrize(
    ("size", "limit", "refused"),
    [(GIB, 1.0, False), (GIB + 1, 1.0, True), (GIB // 2, 0.5, False), (GIB // 2 + 1, 0.5, True), (0, 0.5, False)],
)
def test_a_file_may_take_as_much_as_the_limit(size: int, limit: float, refused: bool) -> None:
    reading = Reading(limit=limit)
    if not refused:
        reading.require(size, "it")
        return
    with pytest.raises(ModelError) as caught:
        reading.require(size, "it")
    assert caught.value.diagnostics[0].code == "E0718"


@pytest.mark.parametrize(
    ("size", "needed", "limit"),
    [
        (3 * GIB // 2, "1.5 GiB", 2),
        (20 * GIB, "20 GiB", 20),
        (5000 * GIB, "5,000 GiB", 5000),
        (2 * GIB + 1, "2 GiB", 3),
    ],
)
def test_a_limit_that_would_do_is_named(size: int, needed: str, limit: int, complaint: Complaint) -> None:
    found = complaint("E0718", Reading().require, size, "the file")
    assert found.message == f"the file takes {needed} of memory, and the limit is 1 GiB"
    assert f"'limit = {limit}'" in (found.help or "")
    assert LIMIT == 1.0


# ----------------------------------------------------------------------------------------------------------- requests


def request_of(call: Callable[..., Any], root: Path, path: str | None = None, **more: Any) -> DataRequest:
    return DataRequest(call("csv", "a.csv", label="kind", path=path), root, ("train",), **more)


def test_a_file_beside_the_model_goes_before_one_of_the_root(call: Callable[..., Any], tmp_path: Path) -> None:
    model, root = tmp_path / "model", tmp_path / "root"
    for folder in (model, root):
        folder.mkdir()
        (folder / "a.csv").write_text("x")
    request = request_of(call, root, str(model / "a.net"))
    assert request.place("a.csv", "file", Path.is_file) == model / "a.csv"
    (model / "a.csv").unlink()
    assert request.place("a.csv", "file", Path.is_file) == root / "a.csv"
    assert request.place("../root/a.csv", "file", Path.is_file) == root / "a.csv", "the way is written shortest"


def test_a_missing_file_is_told_with_every_place_once(
    call: Callable[..., Any], tmp_path: Path, complaint: Complaint
) -> None:
    request = request_of(call, tmp_path, str(tmp_path / "a.net"))
    found = complaint("E0704", request.place, "b.csv", "label", Path.is_file)
    assert found.message == "data set 'csv': b.csv is missing"
    assert found.notes == (f"looked for {tmp_path / 'b.csv'}",)
    assert found.span is not None
    assert found.span.text == "label = kind"
    assert "relative to the model file" in (found.help or "")


def test_a_request_reads_within_its_limit(call: Callable[..., Any], tmp_path: Path, complaint: Complaint) -> None:
    (tmp_path / "a").write_bytes(b"x" * 2000)
    assert request_of(call, tmp_path).read(tmp_path / "a") == b"x" * 2000
    tight = request_of(call, tmp_path, limit=1000 / GIB)
    assert "a: the file takes" in complaint("E0718", tight.read, tmp_path / "a").message
    assert request_of(call, tmp_path).known == Known({}, {})


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"GRAPHDL_DATA": "/data/sets"}, Path("/data/sets")),
        ({"GRAPHDL_DATA": "~/sets"}, Path.home() / "sets"),
        ({"XDG_CACHE_HOME": "/cache"}, Path("/cache/graphdl/data")),
        ({}, Path.home() / ".cache" / "graphdl" / "data"),
    ],
)
def test_where_data_sets_lie(environment: dict[str, str], expected: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    for name in ("GRAPHDL_DATA", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert default_root() == expected


# ---------------------------------------------------------------------------------------------------------- arguments


@pytest.mark.parametrize(
    ("package", "without"), [(augmentations, "step"), (declared, "loader")], ids=["augmentations", "data sets"]
)
def test_each_file_declares_the_function_of_its_name(package: Any, without: str) -> None:
    found = Declared(package.__name__, package.__path__, without=without)
    files = {path.stem for path in Path(package.__path__[0]).glob("*.py")} - {"__init__", without}
    assert set(found) == files
    assert len(found) == len(files)
    assert all(found[name].__name__ == name for name in found)
    assert list(found) == sorted(found)
    with pytest.raises(KeyError):
        found[without]


def test_an_unknown_name_is_told_what_there_is(call: Callable[..., Any], complaint: Complaint) -> None:
    found = complaint("E0701", named, SettingCall(call("cvs")), {"csv": print, "iris": print}, "E0701", "data set")
    assert (found.message, found.notes, found.help) == (
        "unknown data set 'cvs'", ("known: csv, iris",), "did you mean 'csv'?"
    )  # fmt: skip
    assert named(SettingCall(call("csv")), {"csv": print}, "E0701", "data set") is print


@pytest.mark.parametrize(("value", "fits"), [(0, True), (0.5, True), (0.999, True), (1, False), (-0.1, False)])
def test_a_part_is_less_than_the_whole(
    value: float, fits: bool, call: Callable[..., Any], complaint: Complaint
) -> None:
    asked = SettingCall(call("csv", test=value))
    if fits:
        fraction(asked, "test", value)
    else:
        found = complaint("E0703", fraction, asked, "test", value)
        assert found.message == f"'test' of 'csv' must be at least 0 and below 1, found {value}"


@pytest.mark.parametrize(
    ("value", "expected"), [(3, (3, 3)), ([3, 4], (3, 4)), ([3], None), ([3, 4, 5], None), (0, None), ([3, 0], None)]
)
def test_one_number_serves_for_height_and_width(
    value: Any, expected: tuple[int, int] | None, call: Callable[..., Any], complaint: Complaint
) -> None:
    asked = SettingCall(call("crop", size=value))
    if expected is not None:
        assert two(asked, "size", value) == expected
    else:
        assert complaint("E0703", two, asked, "size", value).message == (
            "'size' of 'crop' must be one or two positive numbers"
        )
