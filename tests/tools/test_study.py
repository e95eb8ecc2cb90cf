"""``tools/study``: its features and classifiers on a few digits, and the page of what is recorded."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

import graphdl

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tools"))

from study import classifiers, report  # noqa: E402


def gradients(images: np.ndarray, bins: int = 9, cell: int = 4) -> np.ndarray:
    """The features of ``hog.net`` in float64, pixel by pixel and block by block."""
    padded = np.pad(images[:, 0].astype(np.float64), ((0, 0), (1, 1), (1, 1)))
    dx = padded[:, 1:-1, 2:] - padded[:, 1:-1, :-2]
    dy = padded[:, 2:, 1:-1] - padded[:, :-2, 1:-1]
    count, height, width = dx.shape
    cells = np.zeros((count, bins, height // cell, width // cell))
    for n, row, column in np.ndindex(count, height, width):
        strength = np.hypot(dx[n, row, column], dy[n, row, column])
        if strength == 0:
            continue
        angle = np.arctan2(dy[n, row, column], dx[n, row, column])
        shares = np.maximum(np.abs(np.cos(angle - np.pi * np.arange(bins) / bins)) - np.cos(np.pi / bins), 0)
        cells[n, :, row // cell, column // cell] += strength * shares / shares.sum() / cell**2
    blocks = np.concatenate(
        [cells[:, :, :-1, :-1], cells[:, :, :-1, 1:], cells[:, :, 1:, :-1], cells[:, :, 1:, 1:]], axis=1
    )
    return blocks / np.sqrt((blocks**2).sum(axis=1, keepdims=True) + 1e-4)


def test_histograms_of_gradients() -> None:
    images = np.random.default_rng(3).random((2, 1, 12, 12)).astype(np.float32)
    images[1, :, 4:, :6] = 0.5  # without gradients
    found = graphdl.load(ROOT / "models" / "vision" / "hog.net", size=12).predict(image=images)["features"]
    assert found.shape == (2, 36, 2, 2)
    assert np.abs(found - gradients(images)).max() < 2e-4


def test_classifiers() -> None:
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images, labels = (bunch.images / 16)[:, None].astype(np.float32), bunch.target
    known = classifiers.Digits(images[::3], labels[::3], images[1::3], labels[1::3])
    assert classifiers.linear(classifiers.pixels, known) > 0.88
    assert classifiers.kernel(classifiers.pixels, known) > 0.95


def test_the_page_is_that_of_the_results() -> None:
    results = report.read()
    assert {row for row, _ in results} <= set(classifiers.CONTESTANTS)
    assert report.table(results) == (report.FOLDER / report.TABLE).read_text("utf-8")
    assert (report.FOLDER / report.PICTURE).is_file()
