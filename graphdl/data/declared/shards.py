"""Archives of examples, as of WebDataset."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphdl.data.arguments import fraction, image_shape
from graphdl.data.declared.loader import Loader
from graphdl.settings import SettingCall

if TYPE_CHECKING:
    from graphdl.data.dataset import DataSet
    from graphdl.data.request import DataRequest


def shards(
    call: SettingCall,
    files: str,
    size: int | list[int] = 224,
    channels: int = 3,
    test: float | str = 0.2,
    **fields: str,
) -> Loader:
    """Tar archives of WebDataset's form: ``shards("train-*.tar", image = "jpg;png", label = "cls")``.

    The files of an example have one name, up to the first dot. Every other name is a field, of the file with that
    ending, or with the first of several that there is. A picture is read as ``folder`` reads it: [channels, size,
    size]; a ``.json`` file is a number, or a list of numbers of one shape; any other is the name of a class.
    ``test`` is the fraction in the test split, or a pattern of its archives' names. ``group`` can name ``"shard"``.
    """
    shape = image_shape(call, size, channels)
    if not isinstance(test, str):
        fraction(call, "test", test)
    if not fields:
        help = 'name its fields: shards("train-*.tar", image = "jpg", label = "cls")'
        raise call.error("E0702", "'shards' needs a field", help=help)

    def load(request: DataRequest) -> DataSet:
        from graphdl.data.shards import shards

        return shards(request, files, fields, shape, test)

    return load
