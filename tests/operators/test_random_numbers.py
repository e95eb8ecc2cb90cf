"""Random draws are the same numbers, bit for bit, on every device and in every form of a kernel."""

from __future__ import annotations

import zlib

import kernel_runner as kr
import numpy as np
import pytest
from primitive_runner import Operand, execute, lowered

from graphdl.compiler.program import Target
from graphdl.operators.gaussian import LOGARITHM, SINE
from graphdl.operators.random import ROUNDS, SEED
from graphdl.runtime.opencl import Device

TARGETS = {
    "vectors of 16": Target("cpu", vector_width=16, compute_units=3),
    "scalars": Target("cpu", vector_width=1, compute_units=1),
    "gpu": kr.GPU,
}
SHAPE = (3, 157)
PROBABILITY = np.float32(0.3)


def bits(key: str) -> np.ndarray:
    """Philox-2x32 of each position for the seed 7 and the step 3, as uniform draws of 24 bits."""
    a, b = np.arange(np.prod(SHAPE), dtype=np.uint64), np.full(np.prod(SHAPE), 3, np.uint64)
    word = np.uint64(0xFFFFFFFF)
    seed = 7 ^ zlib.crc32(key.encode())
    for number in range(ROUNDS):
        product = a * np.uint64(0xD256D193)
        key_now = np.uint64((seed + number * 0x9E3779B9) & 0xFFFFFFFF)
        a, b = (product >> np.uint64(32)) ^ key_now ^ b, product & word
    return (a >> np.uint64(8)).astype(np.float32) * np.float32(2.0**-24)


def fma(x: np.ndarray, y: np.ndarray, z: np.ndarray | np.float32) -> np.ndarray:
    """The product of 48 bits is exact in 64, and the sum is rounded to 24 once more."""
    return (x.astype(np.longdouble) * y.astype(np.longdouble) + z).astype(np.float32)


def polynomial(coefficients: tuple[float, ...], x: np.ndarray) -> np.ndarray:
    y = np.full_like(x, coefficients[0])
    for coefficient in coefficients[1:]:
        y = fma(y, x, np.float32(coefficient))
    return y


def normal(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """The steps of ``box_muller``, each rounded to single precision."""
    f, i = np.float32, np.int32
    words = (f(1) - u).view(i)
    above = (words - i(0x3F3504F3)) >> 23
    m = (words - above * i(8388608)).view(f) - f(1)
    logarithm = fma(m * m, polynomial(LOGARITHM, m), m)
    x = fma(above.astype(f), np.full_like(u, 0.6931471806), logarithm) * f(-2)
    root = (i(0x5F3759DF) - (x.view(i) >> 1)).view(f)
    for _ in range(3):
        root = root * fma(x * f(-0.5) * root, root, f(1.5))
    a = np.abs(v - f(0.5)) - f(0.25)
    return x * root * (a * polynomial(SINE, a * a))


@pytest.mark.parametrize("target", TARGETS)
def test_every_form_draws_what_the_definition_says(target: str, device: Device) -> None:
    x = Operand(np.full(SHAPE, PROBABILITY))
    made = {name: lowered(name, [x], {})[0] for name in ("uniform_like", "normal_like", "bernoulli")}
    found = execute(made, {"x0": x.array, SEED: np.array([7, 3], np.int32)}, device, TARGETS[target])
    wanted = {
        "uniform_like": bits("uniform_like"),
        "normal_like": normal(bits("normal_like/radius"), bits("normal_like/angle")),
        "bernoulli": (bits("bernoulli") < PROBABILITY).astype(np.float32),
    }
    for name, values in wanted.items():
        np.testing.assert_array_equal(found[name], values.reshape(SHAPE), err_msg=name)


def test_the_steps_are_the_transform_of_box_and_muller() -> None:
    """At the ends of the draws as well: of u = 0 the radius is 0."""
    u = np.append(bits("u"), np.array([0.0, 2.0**-24, 1 - 2.0**-24, 0.5, 1 - 2.0**-24], np.float32))
    v = np.append(bits("v"), np.array([0.3, 0.0, 0.0, 0.5, 1 - 2.0**-24], np.float32))
    exact = np.sqrt(-2 * np.log1p(-u.astype(np.float64))) * np.cos(2 * np.pi * v.astype(np.float64))
    np.testing.assert_allclose(normal(u, v), exact, rtol=3e-6, atol=3e-7)
