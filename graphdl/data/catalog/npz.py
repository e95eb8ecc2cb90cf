"""NumPy archives of the user."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphdl.data.arguments import fraction
from graphdl.data.catalog.loader import Loader
from graphdl.settings import SettingCall

if TYPE_CHECKING:
    from graphdl.data.dataset import DataSet
    from graphdl.data.request import DataRequest


def npz(call: SettingCall, file: str, test: float = 0.2) -> Loader:
    """The arrays of an ``.npz`` file, examples first; each name is a field.

    ``train_x`` and ``test_x`` (or ``x_train`` and ``x_test``, as Keras writes them; likewise ``validation``) are the
    field ``x`` of these splits. If no array names a split, a fixed random fraction ``test`` is the test split. Bytes
    of rank 3 and more, the examples counted, are pixels: they are read as floats from 0 to 1.
    """
    fraction(call, "test", test)

    def load(request: DataRequest) -> DataSet:
        from graphdl.data.archives import npz

        return npz(request, file, test)

    return load
