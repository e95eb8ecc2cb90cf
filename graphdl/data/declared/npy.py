"""The user's files of single NumPy arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphdl.data.arguments import fraction
from graphdl.data.declared.loader import Loader
from graphdl.settings import SettingCall

if TYPE_CHECKING:
    from graphdl.data.dataset import DataSet
    from graphdl.data.request import DataRequest


def npy(call: SettingCall, test: float = 0.2, **fields: str) -> Loader:
    """Arrays in ``.npy`` files: ``npy(x = "x.npy", label = "labels.npy")``. Each name is a field.

    The names and the arrays are those of ``npz``: ``train_x`` and ``test_x`` are the field ``x`` of these splits. An
    array larger than ``limit`` is mapped: the examples of a batch are read from the disk when they are needed.
    """
    fraction(call, "test", test)
    if not fields:
        raise call.error("E0702", "'npy' needs a field", help='npy(x = "x.npy", label = "labels.npy")')

    def load(request: DataRequest) -> DataSet:
        from graphdl.data.archives import npy

        return npy(request, fields, test)

    return load
