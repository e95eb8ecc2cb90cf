"""The user's NumPy archives."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphdl.data.arguments import fraction
from graphdl.data.declared.loader import Loader
from graphdl.settings import SettingCall

if TYPE_CHECKING:
    from graphdl.data.dataset import DataSet
    from graphdl.data.request import DataRequest


def npz(call: SettingCall, file: str, test: float = 0.2) -> Loader:
    """The arrays of an ``.npz`` file, with the examples as first dimension. Each name is a field.

    ``train_x`` and ``test_x`` (or ``x_train`` and ``x_test`` as in Keras; likewise ``validation``) are the field ``x``
    of these splits. If no array names a split, a fixed random fraction ``test`` is the test split. Arrays of bytes of
    rank 3 or more, including the dimension of the examples, are pixels: they are read as floats from 0 to 1. If all
    arrays together are larger than ``limit``, those that are not packed (``numpy.savez``) are mapped: the examples of a
    batch are read from the disk when they are needed.
    """
    fraction(call, "test", test)

    def load(request: DataRequest) -> DataSet:
        from graphdl.data.archives import npz

        return npz(request, file, test)

    return load
