"""scikit-learn's digits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphdl.data.declared.loader import Loader
from graphdl.settings import SettingCall

if TYPE_CHECKING:
    from graphdl.data.dataset import DataSet
    from graphdl.data.request import DataRequest


def digits(call: SettingCall) -> Loader:
    """Small handwritten digits: ``image`` [1, 8, 8] from 0 to 1, ``label`` class(10).

    The 1,797 examples of scikit-learn's ``load_digits`` (the test part of Alpaydin and Kaynak's set, 1998). A fixed
    fifth of each class, 359 examples in all, is the test split.
    """

    def load(request: DataRequest) -> DataSet:
        from graphdl.data.bundled import digits

        return digits(request)

    return load
