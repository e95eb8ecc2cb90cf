"""Operations with several outputs: one kernel stores them, others read and join it, gradients of all come together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pytest

from graphdl.compiler.build import build
from graphdl.compiler.program import Program, Target
from graphdl.compiler.reverse import gradients
from graphdl.operators.elementwise import apply, cast
from graphdl.operators.kernels.family import Family, Operand, Planner
from graphdl.operators.kernels.template import TemplateCall
from graphdl.operators.reduction import reduce
from graphdl.operators.structure import transpose
from graphdl.operators.tensor import Template, Tensor, feed, parts
from graphdl.runtime.executor import Executor
from graphdl.runtime.opencl import Device
from graphdl.runtime.variables import VariableStore

CPU = Target("cpu", vector_width=16, compute_units=2)
X = np.random.default_rng(0).normal(size=(5, 7)).astype(np.float32) * 4

TEXT = """
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void KERNEL_NAME(KERNEL_PARAMETERS)
{
    KERNEL_PROLOGUE
    const int row = get_global_id(0);
    int column = 0;
    for (; column + 4 <= COLUMNS; column += 4) {
        const float4 value = vload4(0, X + row * COLUMNS + column);
        STORE(4, value - floor(value), convert_int4(floor(value)), row, column);
    }
    for (; column < COLUMNS; column++) {
        const float value = X[row * COLUMNS + column];
        STORE(1, value - floor(value), (int)floor(value), row, column);
    }
}
"""


@dataclass(frozen=True, slots=True)
class _Call(TemplateCall):
    def text(self) -> str:
        return TEXT


class _SplitFamily(Family[tuple[int, int], None]):
    name = "split"
    operand_layouts = ("row_major",)
    coordinates = (0, 1)
    vector = 1
    outputs = ("float", "int")

    def prepare(self, y: Tensor, inputs: tuple[Tensor, ...], planner: Planner) -> Tensor:
        return planner.made(self, y.shape, inputs, y.shape, y)

    def candidates(self, problem: tuple[int, int], target: Target) -> Sequence[None]:
        return [None]

    def call(
        self, problem: tuple[int, int], candidate: None, target: Target, operands: Sequence[Operand] = ()
    ) -> TemplateCall:
        return _Call("", {"COLUMNS": problem[1]}, (problem[0],), (1,), 0, ("X",))


@dataclass(frozen=True)
class _Split(Template):
    """The fractions and the whole numbers below, of a matrix."""

    family = _SplitFamily()

    def flops(self, y: Tensor) -> int:
        return y.size

    def reverse_parts(self, y: Tensor, gradients: Mapping[int, Tensor]) -> Sequence[Tensor | None]:
        return (gradients.get(0),)


def split(x: Tensor) -> tuple[Tensor, Tensor]:
    fraction, whole = parts(_Split(), (x,), [(x.shape, "float"), (x.shape, "int")])
    return fraction, whole


def run(fetches: Mapping[str, Tensor], device: Device) -> tuple[Program, dict[str, np.ndarray]]:
    program = build(fetches, {}, device.target)
    executor = Executor(program, device, VariableStore(device))
    executor.run({"x": X})
    return program, {name: executor.fetch(name) for name in fetches}


def test_one_kernel_stores_all_outputs(device: Device) -> None:
    fraction, whole = split(feed("x", X.shape))
    program, found = run({"fraction": fraction, "whole": whole}, device)
    assert len(program.launches) == 1
    np.testing.assert_array_equal(found["whole"], np.floor(X).astype(np.int32))
    np.testing.assert_allclose(found["fraction"], X - np.floor(X), atol=1e-6)


@pytest.mark.parametrize("number", [0, 1])
def test_one_output_alone(number: int, device: Device) -> None:
    part = split(feed("x", X.shape))[number]
    program, found = run({"y": part}, device)
    assert len(program.launches) == 1
    np.testing.assert_allclose(found["y"], (X - np.floor(X), np.floor(X))[number], atol=1e-6)


def test_elementwise_steps_join_the_kernel(device: Device) -> None:
    fraction, whole = split(feed("x", X.shape) * 2.0)
    program, found = run({"y": apply("exp", fraction) * cast(whole, "float")}, device)
    x = X.astype(np.float64) * 2
    assert [launch.label.split("+")[0] for launch in program.launches] == ["multiply", "split"]
    np.testing.assert_allclose(found["y"], np.exp(x - np.floor(x)) * np.floor(x), rtol=1e-5, atol=1e-6)


def test_other_kernels_read_the_outputs(device: Device) -> None:
    fraction, whole = split(feed("x", X.shape))
    y = transpose(fraction, (1, 0)) + transpose(cast(whole, "float"), (1, 0))
    _, found = run({"y": y, "sum": reduce("sum", whole, (1,))}, device)
    np.testing.assert_allclose(found["y"], X.T, atol=1e-6)
    np.testing.assert_array_equal(found["sum"], np.floor(X).astype(np.int32).sum(1, keepdims=True))


def test_a_kernel_of_two_outputs_that_waits_for_itself_is_not_made(device: Device) -> None:
    fraction, whole = split(feed("x", X.shape))
    top = reduce("max", whole, (0, 1))
    _, found = run({"y": fraction * cast(top, "float"), "whole": whole}, device)
    np.testing.assert_allclose(found["y"], (X - np.floor(X)) * np.floor(X).max(), rtol=1e-5, atol=1e-5)


def test_equal_operations_are_one(device: Device) -> None:
    x = feed("x", X.shape)
    program, found = run({"y": split(x)[0] + cast(split(x)[1], "float")}, device)
    assert len(program.launches) == 1
    np.testing.assert_allclose(found["y"], X, atol=1e-6)


def test_gradients_of_all_outputs_come_together(device: Device) -> None:
    x = feed("x", X.shape)
    fraction, whole = split(x * x)
    again, _ = split(x * x)
    (g,) = gradients(reduce("sum", fraction * cast(whole, "float") + again, (0, 1), keep=False), [x])
    _, found = run({"g": g}, device)
    squares = X.astype(np.float64) ** 2
    np.testing.assert_allclose(found["g"], (np.floor(squares) + 1) * 2 * X, rtol=1e-5)
