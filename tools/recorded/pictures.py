"""Drawing for the rows' pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from graphdl.view.raster import shaded, tiles


def draw_filters(weights: np.ndarray, columns: int, path: Path, scale: int = 3) -> None:
    """Draws filters [filters, height, width] beside each other: grey is 0, white each one's greatest magnitude."""
    greatest = np.abs(weights).max(axis=(1, 2), keepdims=True)
    draw_tiles(0.5 + 0.5 * weights / np.maximum(greatest, 1e-12), columns, path, scale)


def draw_tiles(images: np.ndarray, columns: int, path: Path, scale: int = 2) -> None:
    """Draws images [images, height, width], from 0 (black) to 1, in rows of ``columns``."""
    from PIL import Image

    pixels = tiles([shaded(image, "grey", 0, 1) for image in images], columns, factor=scale, gap=scale)
    Image.fromarray(pixels[..., 0]).save(path, optimize=True)
