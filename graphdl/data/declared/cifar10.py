"""CIFAR-10."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphdl.data.declared.loader import Loader
from graphdl.settings import SettingCall

if TYPE_CHECKING:
    from graphdl.data.dataset import DataSet
    from graphdl.data.request import DataRequest


def cifar10(call: SettingCall) -> Loader:
    """Photographs: ``image`` [3, 32, 32] from 0 to 1, ``label`` class(10); officially 50,000 and 10,000 examples.

    The five training files may hold fewer records than the official 10,000 each.
    """

    def load(request: DataRequest) -> DataSet:
        from graphdl.data.cifar import cifar10

        return cifar10(request)

    return load
