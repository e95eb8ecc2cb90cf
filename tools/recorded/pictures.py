"""Drawing for the rows' pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np


def draw_filters(weights: np.ndarray, columns: int, path: Path, scale: int = 3) -> None:
    """Draws filters [filters, height, width] beside each other: grey is 0, white each one's greatest magnitude."""
    greatest = np.abs(weights).max(axis=(1, 2), keepdims=True)
    draw_tiles(0.5 + 0.5 * weights / np.maximum(greatest, 1e-12), columns, path, scale)


def draw_tiles(images: np.ndarray, columns: int, path: Path, scale: int = 2) -> None:
    """Draws images [images, height, width], from 0 (black) to 1, in rows of ``columns``."""
    from PIL import Image

    count, height, width = images.shape
    rows = -(-count // columns)
    page = np.full((rows * (height + 1) - 1, columns * (width + 1) - 1), 0.5)
    for index, image in enumerate(images):
        top, left = index // columns * (height + 1), index % columns * (width + 1)
        page[top : top + height, left : left + width] = image
    pixels = np.kron(page.clip(0, 1), np.ones((scale, scale)))
    Image.fromarray((255 * pixels).astype(np.uint8)).save(path, optimize=True)
