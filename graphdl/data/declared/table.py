"""Tables written in the model file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphdl.data.declared.loader import Loader
from graphdl.settings import SettingCall

if TYPE_CHECKING:
    from graphdl.data.dataset import DataSet
    from graphdl.data.request import DataRequest


def table(call: SettingCall, **fields: object) -> Loader:
    """Examples in the model file: ``table(x = [[0, 0], [0, 1]], label = [0, 1])``. Each name is a field.

    Both splits, ``train`` and ``test``, have all examples: for truth tables and other functions of few inputs.
    """
    if not fields:
        raise call.error("E0702", "'table' needs a field", help="table(x = [[0, 1], [1, 0]], y = [0, 1])")

    def load(request: DataRequest) -> DataSet:
        from graphdl.data.bundled import table

        return table(request, fields)

    return load
