"""MNIST."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphdl.data.declared.loader import Loader
from graphdl.settings import SettingCall

if TYPE_CHECKING:
    from graphdl.data.dataset import DataSet
    from graphdl.data.request import DataRequest


def mnist(call: SettingCall) -> Loader:
    """Handwritten digits: ``image`` [1, 28, 28] from 0 to 1, ``label`` class(10); 60,000 and 10,000 examples."""

    def load(request: DataRequest) -> DataSet:
        from graphdl.data.idx import mnist

        return mnist(request)

    return load
