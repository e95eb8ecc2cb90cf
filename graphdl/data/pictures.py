"""Image files as arrays: one way for training and for prediction.

========================================  ===========================================================================
pixels of the file                        are read as
========================================  ===========================================================================
1 bit, 8 bits, palette, CMYK, YCbCr       0 to 1, converted to grey or RGB by Pillow (grey: ITU-R 601's luma)
16 bits grey (PNG, PGM, TIFF)             0 to 1: a value by the greatest that its bits hold (65535; 4095 of 12 bits)
16 bits RGB                               their upper 8 bits
with alpha, or a transparent colour       as they look over white; where four channels are wanted, alpha is the fourth
32 bits, ints or floats          refused: nothing says which value is white
========================================  ===========================================================================

A picture is turned upright as its EXIF data says, then scaled so that it just covers the size that is wanted, then
cropped at the centre. Of several frames the first is read.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
from numpy.typing import NDArray

from graphdl.data.reading import Reading
from graphdl.diagnostics import ModelError

if TYPE_CHECKING:
    from PIL.Image import Image

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".gif", ".ppm", ".pgm", ".tif", ".tiff", ".webp"})
MODES = {1: "L", 3: "RGB", 4: "RGBA"}
"""Pillow's name of what is wanted, by its number of channels."""
_FORMATS = ("JPEG", "PNG", "BMP", "GIF", "PPM", "TIFF", "WEBP")
"""Those of the suffixes, and no others: among Pillow's are some that run other programs."""
_ALPHA = frozenset({"RGBA", "LA", "PA", "RGBa", "La"})
_BYTES_PER_PIXEL = 12
"""While a picture is read: the decoded one, turned and converted, of 4 bytes a pixel each."""
_TILE_BYTES_PER_PIXEL = 8
"""Of the widest pixels: four samples of 16 bits."""
_TILE = (322, 323)
_BITS_PER_SAMPLE, _PHOTOMETRIC, _WHITE_IS_ZERO = 258, 262, 0
"""Tags of TIFF."""
_OPENING = threading.Lock()


def decode(reading: Reading, path: Path, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """An image file as [channels, height, width], from 0 to 1; ``channels`` is a key of ``MODES``.

    Raises:
        ModelError: E0704 or E0705, it is missing, damaged, or of a kind that is not read; E0718, it is too large.
    """
    from PIL import Image, ImageOps

    channels, height, width = shape
    with reading.open(path) as file:
        reading.require(file.seek(0, os.SEEK_END), f"{path}: the file")  # some formats are read whole
        file.seek(0)
        try:
            with _opened(file) as image:
                what = f"{path}: a picture of {image.width}×{image.height}"
                reading.require(_decoder_bytes(image), what)
                # A JPEG decoder can halve while it decodes; it never goes below the size asked for.
                enough = 2 * max(width, height)
                image.draft(MODES[channels], (enough, enough))
                reading.require(image.width * image.height * _BYTES_PER_PIXEL, what)
                upright = ImageOps.exif_transpose(image)
                pixels, white = _converted(reading, path, upright, image, channels)
                fitted = ImageOps.fit(pixels, (width, height), Image.Resampling.BILINEAR)
        except ModelError:
            raise
        # Pillow's decoders raise nearly every exception when a file is damaged: IndexError, struct.error, TypeError …
        except Exception as error:
            raise reading.damaged(path, f"it is no image that can be decoded ({error})") from error
    values = np.asarray(fitted, np.float32).reshape(height, width, -1).transpose(2, 0, 1) / np.float32(white)
    if len(values) == channels:
        return values
    found = np.ones((channels, height, width), np.float32)  # opaque, where there is a fourth
    found[:3] = values
    return found


def _opened(file: BinaryIO) -> Image:
    """The picture, its header read. Pillow's own limit of pixels is put aside: ours is in bytes, and can be raised."""
    from PIL import Image

    with _OPENING:
        before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            return Image.open(file, formats=_FORMATS)
        finally:
            Image.MAX_IMAGE_PIXELS = before


def _decoder_bytes(image: Image) -> int:
    """What a decoder holds beside the decoded picture: a JPEG of several scans has all its coefficients in memory, of
    2 bytes each, even if a small picture is made of them; a TIFF has a tile, which can be larger than the picture."""
    from PIL import TiffImagePlugin

    if image.format in ("JPEG", "MPO"):
        return 2 * len(image.getbands()) * image.width * image.height
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        width, height = (int(image.tag_v2.get(tag, 0)) for tag in _TILE)
        return _TILE_BYTES_PER_PIXEL * width * height
    return 0


def _converted(reading: Reading, path: Path, image: Image, opened: Image, channels: int) -> tuple[Image, float]:
    """The picture with the channels that are wanted, or with one for all of them; and the value that is white."""
    from PIL import Image

    wanted = MODES[channels]
    if image.mode in ("I", "F") or image.mode.startswith("I;"):
        return _deep(reading, path, image, opened, channels)
    if image.mode == wanted and "transparency" not in image.info:
        return image, 255.0
    if wanted != "RGBA" and (image.mode in _ALPHA or "transparency" in image.info):
        over = image.convert("RGBA")
        ground = Image.new("RGBA", over.size, "white")
        ground.alpha_composite(over)
        image = ground
    return image.convert(wanted), 255.0


def _deep(reading: Reading, path: Path, image: Image, opened: Image, channels: int) -> tuple[Image, float]:
    """A grey picture of more than 8 bits, as floats."""
    from PIL import Image, TiffImagePlugin

    if image.mode == "F" or (image.mode == "I" and opened.format not in ("PNG", "PPM")):
        kind = "floats" if image.mode == "F" else "ints of 32 bits"
        raise reading.unreadable(
            path,
            f"its pixels are {kind}, and nothing says which value is white",
            help="save it with 8 or 16 bits, or the values from 0 to 1 as an array (.npy, .npz)",
        )
    white, inverted = 65535, False
    if isinstance(opened, TiffImagePlugin.TiffImageFile):
        white = 2 ** int(opened.tag_v2.get(_BITS_PER_SAMPLE, (16,))[0]) - 1
        inverted = opened.tag_v2.get(_PHOTOMETRIC) == _WHITE_IS_ZERO
    values = np.asarray(image).astype(np.float32)
    if inverted:
        values = white - values
    transparent = opened.info.get("transparency")
    if isinstance(transparent, int):
        values[values == transparent] = white
    return Image.fromarray(values), float(white)
