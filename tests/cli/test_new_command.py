"""``graphdl new``: a starting file with the user's data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from graphdl.cli import main
from graphdl.cli.starting import shipped


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with images of three classes and a table."""
    for shade, kind in enumerate(("cat", "cow", "dog")):
        (tmp_path / "photos" / kind).mkdir(parents=True)
        for number in range(40):
            Image.new("L", (3, 3), 80 * shade + number).save(tmp_path / "photos" / kind / f"{number}.png")
    rows = "".join(f"{k},{k % 7},{'xyzw'[k % 4]},{k % 3}\n" for k in range(40))
    (tmp_path / "wine.csv").write_text(f"acid,sugar,kind,water\n{rows}")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def call(*words: object) -> Result:
    return CliRunner().invoke(main, list(map(str, words)))


def test_images(home: Path) -> None:
    found = call("new", "pets", "--from", "lenet", "--data", "photos")
    assert (found.exit_code, found.output) == (
        0,
        'pets.net: vision/lenet.net\n  data folder("photos", size = 28, channels = 1)\n  classes: 3 in place of 10\n',
    )
    text = shipped()["lenet"].read_text("utf-8")
    for before, after in (("classes = 10", "classes = 3"), ("mnist", 'folder("photos", size = 28, channels = 1)')):
        text = text.replace(before, after)
    assert (home / "pets.net").read_text("utf-8") == text
    assert call("check", "pets.net").exit_code == 0

    again = call("new", "pets.net", "--from", "mlp")
    assert again.exit_code == 2
    assert "pets.net exists, and is not overwritten" in again.stderr
    assert (home / "pets.net").read_text("utf-8") == text


def test_a_table_and_what_it_cannot_change(home: Path) -> None:
    found = call("new", "nets/wine", "--from", "perceptron", "--data", "wine.csv")
    assert found.exit_code == 1
    assert 'data csv("../wine.csv", label = "kind")\n  the input x: 3 in place of 4\n' in found.stdout
    assert "this must still be changed" in found.stdout
    assert "E0401" in found.stdout  # the file's parameter has the old size
    assert "input label: class(4)" in (home / "nets" / "wine.net").read_text("utf-8")


def test_arrays_and_texts(home: Path) -> None:
    np.savez("d.npz", x=np.zeros((50, 1, 20, 20), np.float32), y=np.arange(50) % 4)
    found = call("new", "a", "--from", "mlp", "--data", "d.npz")
    changes = [
        'data npz("d.npz")',
        "size: 20 in place of 8",
        "classes: 4 in place of 10",
        "feed image = x",
        "feed label = y",
    ]
    assert (found.exit_code, found.output) == (0, "\n  ".join(["a.net: vision/mlp.net", *changes]) + "\n")
    assert call("check", "a.net").exit_code == 0

    Path("book.txt").write_text("a quick brown fox. " * 400)
    assert call("new", "b", "--from", "char_lstm", "--data", "book.txt").exit_code == 0
    text = Path("b.net").read_text("utf-8")
    assert 'data text("book.txt", length = length, vocabulary = vocabulary)' in text


def test_without_data_the_files_are_copies(home: Path) -> None:
    assert call("new", "net", "--from", "resnet18").exit_code == 0
    for name, copy in (("resnet18", "net"), ("resnet", "resnet")):
        original = shipped()["resnet18"].with_stem(name)
        assert (home / f"{copy}.net").read_bytes() == original.read_bytes()


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (("--from", "lenett"), 2, "did you mean 'lenet'?"),
        (("--from", "lenet", "--data", "mnits"), 1, "E0701"),
        (("--from", "lenet", "--data", "photos/cat"), 1, "a folder for each class"),
        (("--from", "filters", "--data", "digits"), 1, "filters.net has no train section"),
        (("--from", "resnet18", "--data", 'csv("a.csv", label = "kind")'), 1, "E0704"),
    ],
    ids=["model", "data", "folder", "untrained", "missing"],
)
def test_errors_write_nothing(home: Path, options: tuple[str, ...], code: int, message: str) -> None:
    found = call("new", "a", *options)
    assert found.exit_code == code
    assert message in found.stderr
    assert not list(home.glob("*.net"))
