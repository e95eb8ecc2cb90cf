"""The speed of a device: a chain of compiled matrix products, measured once for each driver and cached on disk."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from graphdl.cache import BinaryCache, cache_folder
from graphdl.compiler.build import build
from graphdl.operators.matmul import matmul
from graphdl.operators.tensor import feed
from graphdl.runtime.executor import Executor
from graphdl.runtime.opencl import Device
from graphdl.runtime.ranking import DeviceInfo
from graphdl.runtime.variables import VariableStore

CLOSE = 1 / 2
"""The fraction of the best speed from which devices count as equally fast: other load on the machine disturbs
measurements.
"""

_SIZE = 256
_FLOPS = 3 * 2 * _SIZE**3
_SECONDS = 0.03
_ROUNDS = 25


def known_speed(info: DeviceInfo) -> float | None:
    """The speed measured before for this device and its driver, in FLOP/s; None if there is none."""
    kept = _cache().get(*_key(info))
    return None if kept is None else float(kept)


def measured_speed(device: Device) -> float:
    """The speed, in FLOP/s, of three products of matrices of 256 by 256, including launches and transfers.

    It is the best of at least 25 rounds and of all that fit into 30 ms, after one round that compiles.

    Raises:
        DeviceError: the device does not run the products.
    """
    known = known_speed(device.info)
    if known is None:
        known = _FLOPS / _best_time(device)
        _cache().put(repr(known).encode(), *_key(device.info))
    return known


def by_speed(devices: Sequence[DeviceInfo], speeds: Sequence[float]) -> list[DeviceInfo]:
    """The devices sorted by speed, except that all fast ones (see ``CLOSE``) come first in their given order."""
    bar = CLOSE * max(speeds)
    order = sorted(range(len(devices)), key=lambda place: (-min(speeds[place], bar), place))
    return [devices[place] for place in order]


def _best_time(device: Device) -> float:
    left, right = feed("left", (_SIZE, _SIZE)), feed("right", (_SIZE, _SIZE))
    product = matmul(matmul(matmul(left, right), right), right)
    executor = Executor(build({"product": product}, {}, device.target), device, VariableStore(device))
    given = {"left": np.ones((_SIZE, _SIZE), np.float32), "right": np.eye(_SIZE, dtype=np.float32)}
    _time(executor, given)
    end = time.perf_counter() + _SECONDS
    times = [_time(executor, given) for _ in range(_ROUNDS)]
    while time.perf_counter() < end:
        times.append(_time(executor, given))
    return min(times)


def _time(executor: Executor, given: dict[str, np.ndarray]) -> float:
    start = time.perf_counter()
    executor.run(given)
    executor.fetch("product")
    return time.perf_counter() - start


def _cache() -> BinaryCache:
    return BinaryCache(cache_folder() / "speeds")


def _key(info: DeviceInfo) -> tuple[str, ...]:
    return info.platform, info.platform_version, info.name, info.version, info.driver_version, str(info.compute_units)
