"""Image files as arrays, in the same way for training and for prediction.

========================================  ===========================================================================
pixels of the file                        are read as
========================================  ===========================================================================
1 bit, 8 bits, palette, CMYK, YCbCr       0 to 1, converted to grey or RGB by Pillow (grey: ITU-R 601's luma)
16 bits grey (PNG, PGM, TIFF)             0 to 1: divided by the greatest value of its bits (65535; 4095 for 12 bits)
16 bits RGB                               their upper 8 bits
with alpha, or a transparent colour       composed over white; with four requested channels, alpha is the fourth
32 bits, ints or floats                   refused: nothing says which value is white
========================================  ===========================================================================

An image is rotated according to its EXIF data, scaled so that it just covers the requested size, and cropped at the
centre. Only the first of several frames is read.
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
"""Pillow's mode by the number of channels."""
_FORMATS = ("JPEG", "PNG", "BMP", "GIF", "PPM", "TIFF", "WEBP")
"""The formats of the suffixes, and no others: some of Pillow's formats run other programs."""
_ALPHA = frozenset({"RGBA", "LA", "PA", "RGBa", "La"})
_BYTES_PER_PIXEL = 12
"""Bytes for each pixel while an image is read: the decoded, the rotated and the converted image, with 4 bytes each."""
_TILE_BYTES_PER_PIXEL = 8
"""Bytes for each pixel of a tile with the widest pixels: four samples of 16 bits."""
_TILE = (322, 323)
_BITS_PER_SAMPLE, _PHOTOMETRIC, _WHITE_IS_ZERO = 258, 262, 0
"""Tags of TIFF files."""
_OPENING = threading.Lock()


def decode(reading: Reading, path: Path, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Reads an image file as [channels, height, width], with values from 0 to 1. ``channels`` is a key of ``MODES``.

    Raises:
        ModelError: E0704 or E0705, it is missing, damaged, or of an unsupported kind; E0718, it is too large.
    """
    with reading.open(path) as file:
        return decode_open(reading, path, file, shape)


def decode_open(reading: Reading, path: Path, file: BinaryIO, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Reads an open image file; see ``decode``. ``path`` is its name in messages."""
    from PIL import Image, ImageOps

    channels, height, width = shape
    reading.require(file.seek(0, os.SEEK_END), f"{path}: the file")  # some formats are read as a whole
    file.seek(0)
    try:
        with _opened(file) as image:
            what = f"{path}: a picture of {image.width}×{image.height}"
            reading.require(_decoder_bytes(image), what)
            # A JPEG decoder can halve the size while it decodes. It never goes below the requested size.
            enough = 2 * max(width, height)
            image.draft(MODES[channels], (enough, enough))
            reading.require(image.width * image.height * _BYTES_PER_PIXEL, what)
            upright = ImageOps.exif_transpose(image)
            pixels, white = _converted(reading, path, upright, image, channels)
            fitted = ImageOps.fit(pixels, (width, height), Image.Resampling.BILINEAR)
    except ModelError:
        raise
    # Pillow's decoders raise almost any exception for a damaged file: IndexError, struct.error, TypeError …
    except Exception as error:
        raise reading.damaged(path, f"it is no image that can be decoded ({error})") from error
    values = np.asarray(fitted, np.float32).reshape(height, width, -1).transpose(2, 0, 1) / np.float32(white)
    if len(values) == channels:
        return values
    found = np.ones((channels, height, width), np.float32)  # opaque, if there is a fourth channel
    found[:3] = values
    return found


def _opened(file: BinaryIO) -> Image:
    """Opens an image and reads its header.

    Pillow's limit of pixels is disabled: the limit of this package is in bytes and can be raised.
    """
    from PIL import Image

    with _OPENING:
        before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            return Image.open(file, formats=_FORMATS)
        finally:
            Image.MAX_IMAGE_PIXELS = before


def _decoder_bytes(image: Image) -> int:
    """The bytes that a decoder needs beside the decoded image.

    A JPEG with several scans has all its coefficients in memory, of 2 bytes each, even if a small image is decoded. A
    TIFF has a tile, which can be larger than the image.
    """
    from PIL import TiffImagePlugin

    if image.format in ("JPEG", "MPO"):
        return 2 * len(image.getbands()) * image.width * image.height
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        width, height = (int(image.tag_v2.get(tag, 0)) for tag in _TILE)
        return _TILE_BYTES_PER_PIXEL * width * height
    return 0


def _converted(reading: Reading, path: Path, image: Image, opened: Image, channels: int) -> tuple[Image, float]:
    """The image with the requested channels, or with one for all of them; and the value that is white."""
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
    """A grey image of more than 8 bits, converted to floats; and the value that is white."""
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
