"""Folders of the library ``datasets``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphdl.data.arguments import fraction, image_shape
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
    shape = image_shape(call, size, channels)
    fraction(call, "test", test)
    if not fields:
        help = 'name its fields: huggingface("cats", image = "img", label = "label")'
        raise call.error("E0702", "'huggingface' needs a field", help=help)

    def load(request: DataRequest) -> DataSet:
        from graphdl.data.arrow import huggingface

        return huggingface(request, dir, fields, shape, test)

    return load
