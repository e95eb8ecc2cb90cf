"""Folders of images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphdl.data.arguments import fraction, image_shape
from graphdl.data.declared.loader import Loader
from graphdl.settings import SettingCall

if TYPE_CHECKING:
    from graphdl.data.dataset import DataSet
    from graphdl.data.request import DataRequest


def folder(
    call: SettingCall, dir: str, size: int | list[int] = 224, channels: int = 3, test: float | str = 0.2
) -> Loader:
    """Images in ``dir/train/CLASS/`` and ``dir/test/CLASS/`` (and ``validation``), or in ``dir/CLASS/`` only.

    ``image`` is [channels, size, size] from 0 to 1: scaled so that it just covers the size ([height, width], or one
    number for both), then cropped at the centre. Grey images of 16 bits are scaled to 0 to 1 as well, transparent
    pixels become white, and images are rotated according to their EXIF data. Floats and 32-bit ints are refused. Hidden
    files and folders are ignored. ``label`` numbers the classes in the order of their folders' names. Without split
    folders, a fraction ``test`` is the test split. It is chosen by the hash of class and file name, so an image stays
    in its split when others are added. With a pattern as ``test``, those whose ``CLASS/file`` matches it are
    (``"*/*_3.png"``).
    """
    shape = image_shape(call, size, channels)
    if not isinstance(test, str):
        fraction(call, "test", test)

    def load(request: DataRequest) -> DataSet:
        from graphdl.data.folders import folder

        return folder(request, dir, shape, test)

    return load
