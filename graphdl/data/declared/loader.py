"""The type of the function that a declared data set returns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from graphdl.data.dataset import DataSet
    from graphdl.data.request import DataRequest


class Loader(Protocol):
    """Loads a data set."""

    def __call__(self, request: DataRequest) -> DataSet: ...
