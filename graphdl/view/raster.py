"""Arrays as pixels: colour maps, tiles, and matrices with labels. All images are ``uint8 [height, width, 3]``.

The colours are told apart with any kind of colour vision: the sequential ones grow lighter evenly, the diverging ones
are blue and orange (around white), and the categories are those of Okabe and Ito (2008).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw

Pixels = NDArray[np.uint8]
Colors = Literal["grey", "sequential", "diverging"]

_ANCHORS: dict[Colors, tuple[str, ...]] = {
    "grey": ("000000", "ffffff"),
    "sequential": ("440154", "3b528b", "21918c", "5ec962", "fde725"),
    "diverging": ("0a4a86", "5aa0d6", "ffffff", "f0a050", "9c4400"),
}
CATEGORIES = ("0072b2", "e69f00", "009e73", "cc79a7", "56b4e9", "d55e00", "f0e442", "999999")
"""Colours of classes; with more classes they are used again."""
_TEXT = 12
_MARGIN = 6
_BAR = 12
_DARK = (0x22, 0x22, 0x22)


def rgb(code: str) -> tuple[int, int, int]:
    """The levels of a colour: ``rgb("e69f00") == (230, 159, 0)``."""
    red, green, blue = bytes.fromhex(code)
    return red, green, blue


def shaded(
    values: NDArray[Any], colors: Colors = "grey", low: float | None = None, high: float | None = None
) -> Pixels:
    """``values [h, w]`` as colours, from ``low`` (by default the least value) to ``high`` (the greatest).

    Equal values are the colour of the middle. Diverging colours have white at 0, by default.
    """
    if colors == "diverging" and low is None and high is None:
        high = float(np.abs(values).max(initial=0))
        low = -high
    low = float(values.min()) if low is None else low
    high = float(values.max()) if high is None else high
    share = (values.astype(np.float64) - low) / (high - low) if high > low else np.full(values.shape, 0.5)
    anchors = np.array([rgb(code) for code in _ANCHORS[colors]], np.float64)
    place = np.clip(np.nan_to_num(share), 0, 1) * (len(anchors) - 1)
    first = np.minimum(place.astype(int), len(anchors) - 2)
    rest = (place - first)[..., None]
    pixels: Pixels = (anchors[first] * (1 - rest) + anchors[first + 1] * rest + 0.5).astype(np.uint8)
    return pixels


def photograph(values: NDArray[Any], low: float | None = None, high: float | None = None) -> Pixels:
    """An image ``[1 or 3, h, w]`` in grey or in its colours, from ``low`` to ``high``, by default its own extremes."""
    if values.shape[0] == 1:
        return shaded(values[0], "grey", low, high)
    low = float(values.min()) if low is None else low
    high = float(values.max()) if high is None else high
    return np.stack([shaded(channel, "grey", low, high)[..., 0] for channel in values], axis=-1)


def enlarged(image: Pixels, factor: int) -> Pixels:
    """Each pixel as a square of ``factor`` pixels."""
    return image.repeat(factor, axis=0).repeat(factor, axis=1)


def tiles(images: Sequence[Pixels], columns: int, *, factor: int = 1, gap: int = 2) -> Pixels:
    """Images of one size in rows of ``columns``, each enlarged, with white between them."""
    height, width = (factor * size for size in images[0].shape[:2])
    rows = -(-len(images) // columns)
    columns = min(columns, len(images))
    sheet = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap, 3), 255, np.uint8)
    for number, image in enumerate(images):
        top, left = (number // columns) * (height + gap), (number % columns) * (width + gap)
        sheet[top : top + height, left : left + width] = enlarged(image, factor)
    return sheet


def titled(image: Pixels, title: str) -> Image:
    """An image with a line of text above it."""
    return framed(image, title=title)


def framed(
    image: Pixels,
    *,
    title: str = "",
    rows: Sequence[str] = (),
    columns: Sequence[str] = (),
    down: str = "",
    across: str = "",
    bar: tuple[Colors, float, float] | None = None,
) -> Image:
    """An image with labels at the middles of equal parts of its sides, and with a bar that explains its colours.

    ``rows`` stand left of it and ``columns`` below it, turned if they are too long. ``down`` and ``across`` are the
    names of the axes; ``bar`` has the colours and the values of their ends.
    """
    from PIL import Image, ImageDraw

    height, width = image.shape[:2]
    left = _MARGIN + (max(map(_width, rows)) + _MARGIN if rows else 0)
    top = _MARGIN + (_line() if title else 0) + (_line() if down else 0)
    turned = bool(columns) and max(map(_width, columns)) > width / len(columns) - 2
    below = (max(map(_width, columns)) if turned else _line()) if columns else 0
    bottom = _MARGIN + below + (_line() if across else 0)
    ends = [f"{value:.3g}" for value in bar[1:]] if bar else []
    right = _MARGIN + (2 * _MARGIN + _BAR + max(map(_width, ends)) if bar else 0)
    # A title or a name of an axis may be wider than the image.
    right += max(0, max(_width(title), _width(down), _width(across)) - width - right + _MARGIN)
    sheet = Image.new("RGB", (left + width + right, top + height + bottom), "white")
    sheet.paste(Image.fromarray(image), (left, top))
    draw = ImageDraw.Draw(sheet)
    if title:
        _write(draw, title, left, _MARGIN // 2)
    if down:
        _write(draw, down, _MARGIN, top - _line())
    if across:
        _write(draw, across, left, top + height + below + _MARGIN // 2)
    for number, text in enumerate(rows):
        middle = top + (number + 0.5) * height / len(rows)
        _write(draw, text, left - _MARGIN // 2 - _width(text), round(middle - _line() / 2))
    for number, text in enumerate(columns):
        middle = left + (number + 0.5) * width / len(columns)
        if turned:
            strip = Image.new("RGB", (_width(text), _line()), "white")
            _write(ImageDraw.Draw(strip), text, 0, 0)
            sheet.paste(strip.rotate(90, expand=True), (round(middle - _line() / 2), top + height + 2))
        else:
            _write(draw, text, round(middle - _width(text) / 2), top + height + 2)
    if bar:
        ramp = shaded(np.linspace(1, 0, height)[:, None].repeat(_BAR, axis=1), bar[0], 0, 1)
        sheet.paste(Image.fromarray(ramp), (left + width + _MARGIN, top))
        for text, place in zip(ends, (top + height - _line(), top), strict=True):
            _write(draw, text, left + width + 2 * _MARGIN + _BAR, place)
    return sheet


def written_cells(image: Pixels, texts: Sequence[Sequence[str]]) -> Pixels:
    """An image of equal cells with a text in the middle of each, dark on light colours and light on dark ones."""
    from PIL import Image, ImageDraw

    sheet = Image.fromarray(image)
    draw = ImageDraw.Draw(sheet)
    height, width = image.shape[0] / len(texts), image.shape[1] / len(texts[0])
    for row, line in enumerate(texts):
        for column, text in enumerate(line):
            under = image[int((row + 0.5) * height), int((column + 0.5) * width)]
            light = float(under @ np.array([0.299, 0.587, 0.114])) > 128
            left = round((column + 0.5) * width - _width(text) / 2)
            _write(draw, text, left, round((row + 0.5) * height - _line() / 2), _DARK if light else (255, 255, 255))
    return np.asarray(sheet)


@cache
def _font() -> Any:
    from PIL import ImageFont

    return ImageFont.load_default(_TEXT)


def _line() -> int:
    return _TEXT + 3


def _width(text: str) -> int:
    return int(_font().getlength(text)) + 1 if text else 0


def _write(draw: ImageDraw, text: str, left: int, top: int, color: tuple[int, int, int] = _DARK) -> None:
    draw.text((left, top), text, fill=color, font=_font())
