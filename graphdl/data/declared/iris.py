"""Fisher's irises."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphdl.data.declared.loader import Loader
from graphdl.settings import SettingCall

if TYPE_CHECKING:
    from graphdl.data.dataset import DataSet
    from graphdl.data.request import DataRequest


def iris(call: SettingCall) -> Loader:
    """Fisher's irises (1936): ``x`` [4] in centimetres, ``label`` class(3); 120 examples, and 30 for testing.

    The first class is setosa. A fixed fifth of each class is the test split.
    """

    def load(request: DataRequest) -> DataSet:
        from graphdl.data.bundled import iris

        return iris(request)

    return load
