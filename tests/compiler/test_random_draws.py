"""Random draws in kernels, on the host: Philox by its definition, the same in vectors of any width."""

from __future__ import annotations

import shutil
import zlib

import numpy as np
import pytest
from host_kernels import HostKernels

from graphdl.compiler.build import build
from graphdl.compiler.program import Target
from graphdl.operators.random import ROUNDS, SEED, uniform
from graphdl.operators.tensor import Tensor, constant

SHAPES = {"a": (5, 33), "b": (5, 33), "long": (20_000,), "one": (), "scanned 0": (7, 9), "scanned 1": (7, 9)}
FORMS = {
    "vectors of 16": Target("cpu", vector_width=16, compute_units=2),
    "vectors of 4": Target("cpu", vector_width=4, compute_units=3),
}
WORD = 2**32


def philox(position: int, step: int, key: int) -> int:
    """Philox-2x32 with ten rounds, as Salmon et al. (2011) define it: the counter is the position and the step."""
    a, b = position, step
    for _ in range(ROUNDS):
        product = a * 0xD256D193
        a, b = (product >> 32) ^ key ^ b, product % WORD
        key = (key + 0x9E3779B9) % WORD
    return a


def expected(name: str, seed: int, step: int) -> np.ndarray:
    shape = SHAPES[name]
    key = (seed ^ zlib.crc32(name.split()[0].encode())) % WORD
    if name.startswith("scanned"):
        key = (key + int(name.split()[1]) * 0x85EBCA6B) % WORD
    count = int(np.prod(shape))
    bits = np.array([philox(position, step, key) >> 8 for position in range(count)], np.float64)
    return (bits * 2.0**-24).reshape(shape)


def drawn() -> dict[str, Tensor]:
    found = {}
    for name, shape in SHAPES.items():
        kind, _, step = name.partition(" ")
        found[name] = uniform(shape, kind, constant(int(step)) if step else None)
    return found


@pytest.fixture(scope="module", params=FORMS)
def kernels(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory):
    """Runs the draws of one form for a seed and a step."""
    if shutil.which("g++") is None:
        pytest.skip("needs g++")
    program = build(drawn(), {}, FORMS[request.param])
    built = HostKernels([program], tmp_path_factory.mktemp("kernels"))
    return lambda seed, step: built.run(program, {SEED: np.array([seed, step], np.int32)})


@pytest.mark.parametrize(("seed", "step"), [(0, 0), (5, 2), (2**31 - 1, 10**6)])
def test_draws_are_philox_by_its_definition(kernels, seed: int, step: int) -> None:
    found = kernels(seed, step)
    for name in SHAPES:
        if name != "long":
            np.testing.assert_array_equal(found[name], expected(name, seed, step).astype(np.float32), err_msg=name)
    np.testing.assert_array_equal(found["long"][:50], expected("long", seed, step)[:50].astype(np.float32))


def test_draws_are_uniform_and_below_one(kernels) -> None:
    values = kernels(3, 4)["long"]
    assert 0 <= values.min() < 0.001
    assert 0.999 < values.max() < 1
    assert abs(values.mean() - 0.5) < 0.01
    assert abs(values.var() - 1 / 12) < 0.003
    counts = np.histogram(values, 10, (0, 1))[0]
    assert np.abs(counts - 2000).max() < 200
    assert abs(np.corrcoef(values[:-1], values[1:])[0, 1]) < 0.03


def test_nodes_steps_and_seeds_draw_apart(kernels) -> None:
    first = kernels(3, 4)
    for other in (kernels(3, 5), kernels(4, 4)):
        assert (first["long"] != other["long"]).mean() > 0.99
        assert abs(np.corrcoef(first["long"], other["long"])[0, 1]) < 0.03
    assert (first["a"] != first["b"]).mean() > 0.99
    assert (first["scanned 0"] != first["scanned 1"]).mean() > 0.9
    np.testing.assert_array_equal(first["a"], kernels(3, 4)["a"])
