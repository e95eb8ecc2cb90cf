"""A self-test of a device: small programs with results known to the host, run once for each driver.

Drivers have bugs that a probe of one line does not find: a sum over gathered values that omits a part, the remainder of
a row that is treated as a full vector. The programs contain the forms that the compiler writes most, and those that
some driver is known to compile wrongly. The result is stored on disk with the driver's version and a digest of this
package, so that the test runs again when either changes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

import graphdl
from graphdl.cache import BinaryCache, cache_folder
from graphdl.compiler.build import build
from graphdl.operators.elementwise import apply
from graphdl.operators.gather import pick, take
from graphdl.operators.matmul import matmul
from graphdl.operators.reduction import reduce
from graphdl.operators.structure import concat, pad, pad_to, reshape, slice_, transpose
from graphdl.operators.tensor import Tensor, feed
from graphdl.runtime.executor import Executor
from graphdl.runtime.opencl import Device
from graphdl.runtime.variables import VariableStore

TOLERANCE = 1e-4
"""The tolerance relative to the greatest magnitude of a result. Single precision is a hundred times better; a missing
term is much worse.
"""

_PASSED = b"passed"


@dataclass(frozen=True)
class Case:
    """A small program: its result as a tensor, its feeds, and the expected values."""

    name: str
    tensor: Tensor
    given: dict[str, np.ndarray]
    wanted: np.ndarray


def fault(device: Device) -> str | None:
    """The computations that are wrong on a device, in words; None if all are right. The answer is cached for each
    driver.
    """
    kept, key = BinaryCache(cache_folder() / "selftest"), _key(device)
    verdict = kept.get(*key)
    if verdict is None:
        found = ", ".join(wrong(device))
        verdict = found.encode() or _PASSED
        kept.put(verdict, *key)
    return None if verdict == _PASSED else f"it computes wrongly: {verdict.decode()}"


def wrong(device: Device) -> list[str]:
    """The names of the cases with wrong results on a device.

    Raises:
        DeviceError: the device does not run them.
    """
    everything = list(cases())
    program = build({case.name: case.tensor for case in everything}, {}, device.target)
    executor = Executor(program, device, VariableStore(device))
    executor.run({name: value for case in everything for name, value in case.given.items()})
    return [case.name for case in everything if not _agrees(executor.fetch(case.name), case.wanted)]


def _agrees(found: np.ndarray, wanted: np.ndarray) -> bool:
    return bool(np.all(np.abs(found - wanted) <= TOLERANCE * max(1.0, float(np.abs(wanted).max()))))


def _key(device: Device) -> tuple[str, ...]:
    info = device.info
    return (_digest(), info.platform, info.platform_version, info.name, info.version, info.driver_version)


@cache
def _digest() -> str:
    """A digest of everything that determines the tested kernels: the text of this package."""
    digest = hashlib.sha256(graphdl.__version__.encode())
    for part in ("compiler", "operators", "runtime"):
        for path in sorted((Path(graphdl.__file__).parent / part).rglob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()


# ----------------------------------------------------------------------------------------------------------- the cases


def cases() -> Iterator[Case]:
    """All cases, each with its own feeds."""
    draw = np.random.default_rng(0)

    def values(*shape: int) -> np.ndarray:
        return draw.normal(size=shape).astype(np.float32)

    for count in (100, 128):
        yield from _gathered_sums(count, values(count, 10), draw.integers(0, 10, count).astype(np.int32))
    for rows, columns in ((5, 10), (3, 33)):
        yield from _reductions(rows, columns, values(rows, columns))
    for length in (7, 31):
        yield _rest_of_a_vector(length, values(length), values(length))
    yield _product(3, 5, 7, values(3, 5), values(5, 7))
    yield from _moved(values(6, 10), np.array([3, 0, 3, 5, 1], np.int32))


def _gathered_sums(count: int, table: np.ndarray, index: np.ndarray) -> Iterator[Case]:
    """The sum over a batch of the gathered elements, as in a loss, with and without negated terms."""
    name = f"sum of {count} gathered numbers"
    x, k = feed(f"{name} x", table.shape), feed(f"{name} k", index.shape, "int")
    picked = pick(x, k, known=True)
    given = {f"{name} x": table, f"{name} k": index}
    found = table.astype(np.float64)[np.arange(count), index]
    yield Case(name, reduce("sum", picked, (0,)), given, found.sum(keepdims=True))
    yield Case(f"negated {name}", reduce("sum", -(picked - 1.0), (0,)), given, (1 - found).sum(keepdims=True))


def _reductions(rows: int, columns: int, value: np.ndarray) -> Iterator[Case]:
    shape = f"[{rows}, {columns}]"
    x = feed(f"reductions {shape}", value.shape)
    given = {f"reductions {shape}": value}
    exact = value.astype(np.float64)
    for axis in (0, 1):
        over = f"of {shape} over {axis}"
        yield Case(f"sum {over}", reduce("sum", x, (axis,)), given, exact.sum(axis, keepdims=True))
        yield Case(f"maximum {over}", reduce("max", x, (axis,)), given, exact.max(axis, keepdims=True))
    yield Case(f"argmax of {shape}", reduce("argmax", x, (1,)), given, exact.argmax(1, keepdims=True))


def _rest_of_a_vector(length: int, a: np.ndarray, b: np.ndarray) -> Case:
    """A row that full vectors do not fill, with a selection in each lane."""
    name = f"elementwise over {length}"
    x, y = feed(f"{name} x", a.shape), feed(f"{name} y", b.shape)
    made = apply("where", apply("greater", x, y), x * 2.0 + y, apply("exp", y * 0.5))
    exact = np.where(a > b, a * 2.0 + b, np.exp(b.astype(np.float64) * 0.5))
    return Case(name, made, {f"{name} x": a, f"{name} y": b}, exact)


def _product(m: int, k: int, n: int, a: np.ndarray, b: np.ndarray) -> Case:
    name = f"product [{m}, {k}] by [{k}, {n}]"
    x, y = feed(f"{name} x", (1, m, k)), feed(f"{name} y", (1, k, n))
    given = {f"{name} x": a[None], f"{name} y": b[None]}
    return Case(name, matmul(x, y) + 1.0, given, (a.astype(np.float64) @ b + 1.0)[None])


def _moved(value: np.ndarray, index: np.ndarray) -> Iterator[Case]:
    """Views: where an element is read, and where none is."""
    rows, columns = value.shape
    x, k = feed("views", value.shape), feed("views rows", index.shape, "int")
    given = {"views": value}
    backwards = slice_(reshape(x, (4, 15)), (0, 14), (1, -1), (4, 15))
    yield Case("reversed reshape", backwards * 1.0, given, value.reshape(4, 15)[:, ::-1])
    yield Case("transpose", transpose(x, (1, 0)) * 2.0, given, value.T * 2)
    yield Case("padding", pad(x, (1, 2), (2, 1)) + 1.0, given, np.pad(value, ((1, 2), (2, 1))) + 1)
    spread = np.zeros((rows, 2 * columns + 1), np.float32)
    spread[:, 1::2] = value
    yield Case("every other column", pad_to(x, spread.shape, (0, 1), (1, 2)) * 1.0, given, spread)
    yield Case("join", concat([x, x * 3.0], 1) * 1.0, given, np.concatenate([value, value * 3], 1))
    yield Case("rows by number", take(x, k, known=False) * 1.0, {**given, "views rows": index}, value[index])
