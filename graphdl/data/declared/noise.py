"""Random images, for benchmarks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphdl.data.declared.loader import Loader
from graphdl.settings import SettingCall

if TYPE_CHECKING:
    from graphdl.data.dataset import DataSet
    from graphdl.data.request import DataRequest


def noise(
    call: SettingCall, shape: list[int], classes: int = 1000, train: int = 256, test: int = 64, seed: int = 0
) -> Loader:
    """For benchmarks: ``image`` of random bytes in a given shape, from 0 to 1; ``label`` class(classes), each class in
    turn.
    """
    for name, value in (("classes", classes), ("train", train), ("test", test), *(("shape", size) for size in shape)):
        if value < 1:
            raise call.error("E0703", f"'{name}' of 'noise' must be positive, found {value}", argument=name)

    def load(request: DataRequest) -> DataSet:
        from graphdl.data.bundled import noise

        return noise(request, shape, classes, {"train": train, "test": test}, seed)

    return load
