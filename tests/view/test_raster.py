"""Arrays as pixels."""

from __future__ import annotations

import numpy as np
import pytest

from graphdl.view.raster import enlarged, framed, photograph, rgb, shaded, tiles, written_cells


@pytest.mark.parametrize(
    ("colors", "values", "codes"),
    [
        ("grey", [0.0, 1.0, 2.0], ["000000", "808080", "ffffff"]),
        ("sequential", [0.0, 5.0, 10.0], ["440154", "21918c", "fde725"]),
        ("sequential", [3.0, 3.0], ["21918c", "21918c"]),
        ("diverging", [-0.5, 0.0, 1.0, -1.0], ["5aa0d6", "ffffff", "9c4400", "0a4a86"]),
        ("diverging", [0.0, 0.0], ["ffffff", "ffffff"]),
    ],
)
def test_colours(colors, values, codes):
    assert shaded(np.array([values]), colors).tolist() == [[list(rgb(code)) for code in codes]]


def test_values_outside_of_the_ends_have_the_ends_colours():
    assert shaded(np.array([[-3.0, 7.0, np.nan]]), "grey", 0, 1)[0, :, 0].tolist() == [0, 255, 0]


def test_photographs():
    red = np.zeros((3, 1, 2))
    red[0, 0, 1] = 1
    assert photograph(red).tolist() == [[[0, 0, 0], [255, 0, 0]]]
    assert photograph(red[:1]).tolist() == [[[0, 0, 0], [255, 255, 255]]]


def test_tiles():
    images = [np.full((1, 2, 3), shade, np.uint8) for shade in (10, 20, 30)]
    sheet = tiles(images, 2, factor=2, gap=1)
    row = [10] * 4 + [255] + [20] * 4
    assert sheet[..., 1].tolist() == [row, row, [255] * 9, *[[30] * 4 + [255] * 5] * 2]
    assert tiles(images[:1], 5).shape == (1, 2, 3)


def test_frames_keep_the_image():
    image = enlarged(np.array([[[1, 2, 3], [4, 5, 6]]], np.uint8), 30)
    plain = framed(image)
    assert plain.size == (72, 42)
    assert (np.asarray(plain)[6:36, 6:66] == image).all()
    full = framed(
        image, title="a title that is wider than the image", rows=["truth"], columns=["a", "much longer than b"],
        down="down", across="across", bar=("sequential", 0, 0.25),
    )  # fmt: skip
    pixels = np.asarray(full)
    found = np.argwhere((pixels == (1, 2, 3)).all(axis=2))
    top, left = found[0]
    assert (pixels[top : top + 30, left : left + 60] == image).all()
    assert (pixels[top, left + 66] == rgb("fde725")).all()  # the bar begins with the greatest value
    assert (pixels[:top, :, 0] < 128).any()  # the title
    assert (pixels[:, : left - 1, 0] < 128).any()  # the row's label


def test_numbers_in_cells_are_readable():
    image = enlarged(np.array([[[0, 0, 0], [255, 255, 255]]], np.uint8), 20)
    sheet = written_cells(image, [["8", "8"]])
    assert sheet[:, :20].max() > 200
    assert sheet[:, 20:].min() < 80
