"""Folders of the library ``datasets``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphdl.data.arguments import fraction, two
from graphdl.data.declared.loader import Loader
from graphdl.settings import SettingCall

if TYPE_CHECKING:
    from graphdl.data.dataset import DataSet
    from graphdl.data.request import DataRequest


def huggingface(
    call: SettingCall,
    dir: str,
    size: int | list[int] = 224,
    channels: int = 3,
    test: float = 0.2,
    **fields: str,
) -> Loader:
    """A folder that ``save_to_disk`` of Hugging Face's ``datasets`` wrote: ``huggingface("cats", image = "img")``.

    Every other name is a field, of the column that it names. A column of pictures is read as ``folder`` reads it:
    [channels, size, size]; one of classes is class(k) in the file's order; one of texts is class(k), with the classes
    in sorted order; all others are numbers, or lists of them of one shape. The splits are those of the folder. If it
    has no split ``test``, a fraction ``test`` of the training examples is. Pictures are read from the disk when needed.
    Needs ``graphdl[huggingface]``.
    """
    height, width = two(call, "size", size)
    if channels not in (1, 3):
        raise call.error("E0703", f"'channels' of 'huggingface' must be 1 or 3, found {channels}", argument="channels")
    fraction(call, "test", test)
    if not fields:
        help = 'name its fields: huggingface("cats", image = "img", label = "label")'
        raise call.error("E0702", "'huggingface' needs a field", help=help)

    def load(request: DataRequest) -> DataSet:
        from graphdl.data.arrow import huggingface

        return huggingface(request, dir, fields, (channels, height, width), test)

    return load
