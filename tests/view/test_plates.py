"""Pictures of models: their pixels where these can be told, else what they show."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import graphdl
from graphdl.cli import main
from graphdl.data.known import Known
from graphdl.view.plates import class_names, confusion_table, decibels
from graphdl.view.raster import CATEGORIES, rgb, shaded

TWO_LAYERS = """net two() {
    input image: [1, 2, 2]
    input label: class(2)
    y = image -> flatten -> linear(3) as lower -> linear(2) as upper
    output y
    output again = 0.5 * image
    metric accuracy(y, label)
}"""
SEEN = "net seen() { input image: [1, 8, 8]; output twice = 2 * image }"


def pixels(picture):
    return np.asarray(picture)


def has_tile(picture, tile, left, top, factor):
    """Whether an enlarged tile is at a place of the picture, within its margin of 6 pixels and the title's line."""
    part = pixels(picture)[21 + top :, 6 + left :][: factor * tile.shape[0] : factor, : factor * tile.shape[1] : factor]
    return (part == tile).all()


@pytest.fixture(scope="module")
def two():
    model = graphdl.loads(TWO_LAYERS)
    model.parameters["lower.W"] = np.array([[1, 0, 0], [0, 2, 0], [0, 0, 4], [-1, 0, 0]], np.float32)
    model.parameters["upper.W"] = np.array([[1, 0], [0, 1], [0, 1]], np.float32)
    model.parameters["lower.b"] = np.zeros(3)
    model.parameters["upper.b"] = np.zeros(2)
    return model


def test_filters(two):
    picture = two.picture("filters")
    assert picture.size == (12 + 2 * 56 + 2, 12 + 15 + 2 * 56 + 2)
    assert has_tile(picture, shaded(np.array([[1.0, 0], [0, -1]]), "diverging"), 0, 0, 28)
    assert has_tile(picture, shaded(np.array([[0.0, 2], [0, 0]]), "diverging"), 58, 0, 28)
    strokes = two.picture("filters", "lower.W", "upper.W")
    assert has_tile(strokes, shaded(np.array([[0.0, 2], [4, 0]]), "diverging"), 58, 0, 28)


def test_reconstructions_and_samples(two):
    images = np.array([[[[0, 1], [1, 0]]], [[[1, 1], [0, 0]]]], np.float32)
    picture = two.picture("reconstructions", image=images)
    assert picture.size == (12 + 2 * 56 + 2, 12 + 15 + 2 * 56 + 2)
    assert has_tile(picture, shaded(images[1, 0], "grey", 0, 1), 58, 0, 28)
    assert has_tile(picture, shaded(images[1, 0] / 2, "grey", 0, 1), 58, 58, 28)
    assert two.picture("samples", "again", count=12).size == (12 + 10 * 58 - 2, 27 + 2 * 58 - 2)


def test_confusion(two):
    assert confusion_table(np.array([0, 1, 1, 2]), np.array([0, 1, 0, 2]), 3).tolist() == [
        [1, 0, 0],
        [1, 1, 0],
        [0, 0, 1],
    ]
    images = np.zeros((4, 1, 2, 2), np.float32)
    images[:2, 0, 0, 0] = 1  # for which class 0 has the greater value
    images[2:, 0, 1, 0] = 1
    found = pixels(two.picture("confusion", image=images, label=np.array([0, 1, 1, 1])))
    corners = {name: np.argwhere((found == rgb(code)).all(axis=2)) for name, code in (("1", "fde725"), ("0", "440154"))}
    top, left = corners["1"][0]  # class 0 is always right
    shares = found[top + 2 : top + 68 : 34, left + 2 : left + 68 : 34]
    assert (shares == shaded(np.array([[1, 0], [1 / 3, 2 / 3]]), "sequential", 0, 1)).all()
    assert len(corners["0"]) > 500


def test_surfaces():
    step = graphdl.loads("net s() { input x: [2]; input y: []; output answer = float(x[0] > 0.5) }")
    found = pixels(step.picture("surface", x=np.array([[0, 0], [1, 1]]), y=np.array([0.0, 1.0])))
    row = found[40]  # above all points
    assert (row[20] == rgb("0a4a86")).all()
    assert (row[460] == rgb("9c4400")).all()
    classes = graphdl.loads("net c() { input x: [2]; input k: class(2); output p = softmax(50 * x) }")
    found = pixels(classes.picture("surface", x=np.array([[0, 1], [1, 0]]), k=np.array([1, 0])))
    for k, (right, up) in enumerate([(1, 0), (0, 1)]):
        row, column = 36 + round((1 - (up + 0.25) / 1.5) * 479), 6 + round((right + 0.25) / 1.5 * 479)
        assert (found[row, column] == rgb(CATEGORIES[k])).all()
        assert (found[row - 4, column - 4] == 34).all()


def test_attention_leaves_out_what_follows_the_end():
    text = """net a() {
        input source: class(9)[4]
        input next: class(9)[3]
        output attention_weights = float(reshape(next, [3, 1]) == reshape(source, [1, 4]))
    }"""
    model = graphdl.loads(text)
    picture = pixels(model.picture("attention", source=np.array([[5, 6, 7, 0]]), next=np.array([[6, 5, 0]])))
    top, left = np.argwhere((picture == rgb("440154")).all(axis=2))[0]
    cells = picture[top + 17 :: 34, left + 17 :: 34][:2, :3]
    assert (cells == shaded(np.array([[0.0, 1, 0], [1, 0, 0]]), "sequential")).all()
    assert (picture[top, left + 3 * 34] == 255).all()


def test_names_of_classes(two):
    assert class_names(two, "label", 2) == ["0", "1"]
    model = graphdl.loads(TWO_LAYERS)
    model.known = {"train": Known({"source": ("a", "b"), "target": ("c", "d"), "kind": ("e", "f", "g")})}
    assert class_names(model, "source", 2) == ["a", "b"]
    assert class_names(model, "next", 2) == ["c", "d"]
    assert class_names(model, "label", 3) == ["e", "f", "g"]


def test_spectrograms():
    wave = np.sin(2 * np.pi * 8 * np.arange(600) / 256)
    found = decibels(wave, hop=128)
    assert found.shape == (129, 3)
    assert (found.argmax(axis=0) == 8).all()
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(256) / 256)
    power = abs(np.sum(hann * wave[128:384] * np.exp(-2j * np.pi * 7 * np.arange(256) / 256))) ** 2
    assert found[7, 1] == pytest.approx(10 * np.log10(power))
    model = graphdl.loads("net w() { input wave: [600]; output y = reshape(wave, [20, 30]) }")
    assert model.picture("spectrogram", wave=wave[None]).size[1] > 480
    assert model.picture("spectrogram", "y", wave=wave[None]).size[0] > 480


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    Path("seen.net").write_text(SEEN, "utf-8")
    images = np.random.default_rng(0).random((9, 1, 8, 8)).astype(np.float32)
    np.savez("a.npz", train_image=images[:3], test_image=images[3:])
    words = ["picture", "seen.net", "reconstructions", "--data", 'npz("a.npz")', "--example", "2", "--count", "3"]
    found = CliRunner().invoke(main, [*words, "-o", "a.png"])
    assert found.output == "a.png: 184 x 141 pixels\n"
    shown = graphdl.loads(SEEN).picture("reconstructions", image=images[5:8])
    assert (pixels(Image.open("a.png")) == pixels(shown)).all()
    assert CliRunner().invoke(main, [*words, "--split", "train", "--example", "3"]).exit_code == 1


@pytest.mark.parametrize(
    ("what", "names", "message"),
    [
        ("confuse", (), "there is no picture 'confuse'"),
        ("filters", ("lower.w",), "the net has no parameter 'lower.w'"),
        ("filters", ("upper.W",), "'upper.W' [3, 2] holds no weights of pixels"),
        ("filters", ("lower.W", "lower.W"), "does not stand above"),
        ("maps", ("lower",), "'lower' gives [3]"),
        ("surface", (), "no input of two numbers"),
        ("confusion", (), "needs examples of the input 'label'"),
        ("confusion", ("again",), "no output of the net 'two' gives"),
        ("attention", (), "which matrix?"),
        ("spectrogram", (), "has no recording"),
    ],
)
def test_what_does_not_fit_is_said(two, what, names, message):
    with pytest.raises(graphdl.ModelError) as raised:
        two.picture(what, *names, image=np.zeros((1, 1, 2, 2), np.float32))
    assert raised.value.diagnostics[0].code == "E0623"
    assert message in raised.value.diagnostics[0].message
