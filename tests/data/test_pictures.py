"""Pictures of every mode that the formats have: what is white is 1, what is black is 0, and what lies between keeps
its place; what cannot be told is refused."""

import os
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from graphdl.data.pictures import decode
from graphdl.data.reading import GIB, Reading
from graphdl.diagnostics import ModelError

RAMP = np.linspace(0, 1, 64).reshape(8, 8)
"""Grey from black to white."""


def read(path, channels=1, size=8, **keywords):
    return decode(Reading(**keywords), path, (channels, size, size))


def grey(bits=8):
    return np.round(RAMP * (2**bits - 1))


@pytest.mark.parametrize("suffix", ["png", "tif", "pgm"])
@pytest.mark.parametrize("channels", [1, 3])
def test_sixteen_bits_keep_their_greys(tmp_path, suffix, channels):
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(grey(16).astype(np.uint16)).save(path)
    found = read(path, channels)
    assert found.shape == (channels, 8, 8)
    np.testing.assert_allclose(found, np.broadcast_to(RAMP, found.shape), atol=1e-5)


def test_sixteen_bits_of_big_endian_tiff(tmp_path):
    values = grey(16).astype(">u2")
    Image.frombytes("I;16B", (8, 8), values.tobytes()).save(tmp_path / "a.tif")
    np.testing.assert_allclose(read(tmp_path / "a.tif")[0], RAMP, atol=1e-5)


def test_sixteen_bits_are_scaled_and_turned_like_eight(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    for name, bits, kind in (("deep", 16, np.uint16), ("flat", 8, np.uint8)):
        Image.fromarray(grey(bits).astype(kind)).resize((16, 12)).save(tmp_path / f"{name}.png", exif=exif)
    np.testing.assert_allclose(read(tmp_path / "deep.png", size=6), read(tmp_path / "flat.png", size=6), atol=0.01)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "CMYK", "YCbCr"])
def test_every_mode_keeps_black_and_white(tmp_path, mode):
    picture = np.zeros((8, 8, 3), np.uint8)
    picture[4:] = 255
    path = tmp_path / ("a.tif" if mode in ("CMYK", "YCbCr") else "a.png")
    Image.fromarray(picture).convert(mode).save(path)
    with Image.open(path) as saved:
        assert saved.mode == mode
    for channels in (1, 3):
        found = read(path, channels)
        np.testing.assert_allclose(found[:, :4], 0, atol=0.02)
        np.testing.assert_allclose(found[:, 4:], 1, atol=0.02)


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
@pytest.mark.parametrize("large", [False, True])
def test_jpegs_keep_black_and_white(tmp_path, mode, large):
    picture = np.zeros((8, 8, 3), np.uint8)
    picture[4:] = 255
    size = 256 if large else 8  # a large one is halved while it is decoded
    Image.fromarray(picture).resize((size, size), Image.Resampling.NEAREST).convert(mode).save(tmp_path / "a.jpg")
    for channels in (1, 3):
        found = read(tmp_path / "a.jpg", channels)
        np.testing.assert_allclose(found[:, :3], 0, atol=0.05)
        np.testing.assert_allclose(found[:, 5:], 1, atol=0.05)


def transparent(mode):
    """Black and transparent above, opaque and red below."""
    values = np.zeros((8, 8, 4), np.uint8)
    values[4:] = (255, 0, 0, 255)
    picture = Image.fromarray(values)
    if mode == "P":
        indexed = Image.new("P", (8, 8))
        indexed.putpalette([0, 0, 0, 255, 0, 0])
        indexed.paste(1, (0, 4, 8, 8))
        return indexed, {"transparency": 0}
    if mode == "RGB":
        return picture.convert("RGB"), {"transparency": (0, 0, 0)}
    return picture.convert(mode), {}


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "RGB"])
def test_transparent_pixels_are_white(tmp_path, mode):
    picture, options = transparent(mode)
    picture.save(tmp_path / "a.png", **options)
    found = read(tmp_path / "a.png", 3)
    assert (found[:, :4] == 1).all()
    np.testing.assert_allclose(found[0, 4:], 76 / 255 if mode == "LA" else 1, atol=0.01)
    assert found[1, 4:].max() < 0.31
    assert (read(tmp_path / "a.png", 1)[0, :4] == 1).all()


def test_half_transparent_pixels_are_mixed_with_white(tmp_path):
    Image.new("RGBA", (8, 8), (0, 0, 0, 64)).save(tmp_path / "a.png")
    np.testing.assert_allclose(read(tmp_path / "a.png", 3), 1 - 64 / 255, atol=0.01)


def test_a_transparent_grey_of_sixteen_bits(tmp_path):
    values = np.full((8, 8), 1000, np.uint16)
    values[4:] = 65535 // 2
    Image.fromarray(values).save(tmp_path / "a.png", transparency=1000)
    found = read(tmp_path / "a.png")[0]
    assert (found[:4] == 1).all()
    np.testing.assert_allclose(found[4:], 0.5, atol=1e-4)


def test_alpha_is_a_fourth_channel_where_one_is_wanted(tmp_path):
    Image.new("RGBA", (8, 8), (255, 0, 0, 51)).save(tmp_path / "a.png")
    np.testing.assert_allclose(read(tmp_path / "a.png", 4)[:, 0, 0], [1, 0, 0, 0.2])
    Image.fromarray(np.full((8, 8), 13107, np.uint16)).save(tmp_path / "b.png")
    np.testing.assert_allclose(read(tmp_path / "b.png", 4)[:, 0, 0], [0.2, 0.2, 0.2, 1])


@pytest.mark.parametrize(("kind", "words"), [(np.float32, "floats"), (np.int32, "ints of 32 bits")])
def test_what_has_no_white_is_refused(tmp_path, complaint, kind, words):
    path = tmp_path / "a.tif"
    Image.fromarray((RAMP * 100).astype(kind)).save(path)
    found = complaint("E0705", read, path)
    assert found.message == f"{path} cannot be read: its pixels are {words}, and nothing says which value is white"
    assert "8 or 16 bits" in found.help


def test_a_picture_of_many_pixels_is_refused_before_it_is_decoded(tmp_path, complaint):
    path = tmp_path / "a.png"
    Image.new("1", (17_700, 10_000)).save(path)  # 177 million pixels in 22 kB
    found = complaint("E0718", read, path)
    assert found.message == f"{path}: a picture of 17700×10000 takes 1.98 GiB of memory, and the limit is 1 GiB"
    assert "limit = 2" in found.help


def test_the_limit_can_be_raised_beyond_pillows_own(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    Image.fromarray(grey().astype(np.uint8)).resize((800, 800)).save(path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    assert read(path).shape == (1, 8, 8)
    assert Image.MAX_IMAGE_PIXELS == 1000
    with pytest.raises(ModelError, match="E0718"):
        read(path, limit=800 * 800 * 12 / GIB - 1e-9)


def test_a_large_jpeg_is_decoded_small(tmp_path):
    path = tmp_path / "a.jpg"
    Image.new("RGB", (4000, 4000), "white").save(path)
    assert read(path, 3, limit=0.1).min() == 1  # decoded whole it would take 0.18 GiB


def test_a_large_file_is_refused_before_it_is_read(tmp_path, complaint):
    Image.new("L", (8, 8)).save(tmp_path / "a.webp")
    with (tmp_path / "a.webp").open("r+b") as file:
        file.truncate(2 << 30)  # with a hole
    assert complaint("E0718", read, tmp_path / "a.webp").message.endswith("a.webp: the file takes 2 GiB of memory, "
                                                                         "and the limit is 1 GiB")  # fmt: skip


@pytest.mark.parametrize("options", [{}, {"progressive": True}])
def test_the_coefficients_of_a_jpeg_count(tmp_path, complaint, options):
    path = tmp_path / "a.jpg"
    Image.new("RGB", (1000, 1000), "white").save(path, **options)
    found = complaint("E0718", read, path, 1, limit=5.9e6 / GIB)
    assert "a picture of 1000×1000 takes" in found.message
    assert read(path, limit=6.1e6 / GIB).min() == 1


def tiled(tile):
    """A white TIFF of 16×16 in one tile."""
    packed = zlib.compress(b"\xff" * 16 * 16)
    tags = {256: 16, 257: 16, 258: 8, 259: 8, 262: 1, 277: 1, 322: tile, 323: tile, 324: 8, 325: len(packed)}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    return struct.pack("<2sHI", b"II", 42, 8 + len(packed)) + packed + struct.pack("<H", len(tags)) + entries + bytes(4)


def test_a_tile_larger_than_the_picture_counts(tmp_path, complaint):
    path = tmp_path / "a.tif"
    path.write_bytes(tiled(16))
    assert read(path).min() == 1
    path.write_bytes(tiled(20_000))
    assert "a picture of 16×16 takes 2.98 GiB" in complaint("E0718", read, path).message


def test_other_formats_of_pillow_are_not_read(tmp_path, complaint):
    # Among them is PostScript, which Pillow hands to Ghostscript.
    Image.new("RGB", (8, 8)).save(tmp_path / "a.eps")
    assert "no image that can be decoded" in complaint("E0705", read, tmp_path / "a.eps").message


def test_a_folder_a_pipe_and_nothing(tmp_path, complaint):
    (tmp_path / "folder.png").mkdir()
    os.mkfifo(tmp_path / "pipe.png")
    assert "it is a folder" in complaint("E0705", read, tmp_path / "folder.png").message
    assert "it is a device" in complaint("E0705", read, tmp_path / "pipe.png").message
    complaint("E0704", read, tmp_path / "nothing.png")
