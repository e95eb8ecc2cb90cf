"""The user's lists of examples."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphdl.data.arguments import fraction, image_shape
from graphdl.data.declared.loader import Loader
from graphdl.settings import SettingCall

if TYPE_CHECKING:
    from graphdl.data.dataset import DataSet
    from graphdl.data.request import DataRequest


def catalog(
    call: SettingCall,
    file: str,
    size: int | list[int] = 224,
    channels: int = 3,
    dir: str | None = None,
    test: float | str = 0.2,
    **fields: str,
) -> Loader:
    """A list of examples with pictures and numbers: ``catalog("a.jsonl", image = "frame", angle = "user/angle")``.

    ``file`` has an object of JSON on each line; a ``.csv`` or ``.tsv`` file has columns with a header. Every other name
    is a field, of the key or the column that it names. By its values it is a picture (a file name, relative to the
    folder of ``file`` or to the folder ``dir`` in it), read as ``folder`` reads it: [channels, size, size]; a number,
    or a list of numbers of one shape; or else class(k), with the classes in sorted order. ``test`` is the fraction in
    the test split, or a second file. ``group`` can name any key.
    """
    shape = image_shape(call, size, channels)
    if not isinstance(test, str):
        fraction(call, "test", test)
    if not fields:
        help = 'name its fields: catalog("a.jsonl", image = "frame", angle = "user/angle")'
        raise call.error("E0702", "'catalog' needs a field", help=help)

    def load(request: DataRequest) -> DataSet:
        from graphdl.data.lists import catalog

        return catalog(request, file, fields, shape, dir, test)

    return load
