"""What a tensor means and how it is stored are apart: other forms give the same values."""

from __future__ import annotations

import numpy as np
import pytest

from graphdl.compiler.build import build
from graphdl.compiler.prepare import prepare
from graphdl.compiler.program import Program, Target
from graphdl.compiler.storage import by_element, stored
from graphdl.graph.elements import BYTE, ELEMENTS, FLOAT32, INT32, Stored
from graphdl.operators.elementwise import apply, cast
from graphdl.operators.matmul import matmul
from graphdl.operators.reduction import reduce
from graphdl.operators.structure import reshape
from graphdl.operators.tensor import Tensor, feed
from graphdl.runtime.executor import Executor
from graphdl.runtime.opencl import Device
from graphdl.runtime.variables import VariableStore

TARGETS = {"cpu": Target("cpu", 16, 2), "gpu": Target("gpu", 4, 8)}
BOOLS_AS_INTS = {FLOAT32: FLOAT32, INT32: INT32, BYTE: INT32}


def wide(tensor: Tensor) -> Stored:
    return BOOLS_AS_INTS[by_element(tensor)]


def masks() -> dict[str, Tensor]:
    """A mask that is stored, because the sums over it and a later kernel both want it; and a mask that is fetched."""
    x = feed("x", (24, 37))
    total = reduce("sum", apply("exp", x), (1,), keep=True)
    mask = apply("greater", x * total, 1.0)
    count = reduce("sum", cast(mask, "float"), (0,), keep=True)
    return {"chosen": apply("where", mask, x, count), "mask": apply("logical_not", mask)}


def run(program: Program, device: Device, x: np.ndarray) -> dict[str, np.ndarray]:
    executor = Executor(program, device, VariableStore(device))
    executor.run({"x": x})
    return {name: executor.fetch(name) for name in program.fetches}


@pytest.mark.parametrize("target", TARGETS)
def test_another_form_gives_the_same_values(device: Device, target: str) -> None:
    x = np.random.default_rng(0).normal(size=(24, 37)).astype(np.float32)
    programs = [build(masks(), {}, TARGETS[target], stores) for stores in (by_element, wide)]
    texts = ["".join(kernel.source for kernel in program.kernels.values()) for program in programs]
    assert texts[0] != texts[1]
    assert programs[0].arena_bytes < programs[1].arena_bytes
    before, after = (run(program, device, x) for program in programs)
    for name, array in before.items():
        np.testing.assert_array_equal(after[name], array, err_msg=name)
    assert before["mask"].any()
    assert not before["mask"].all()
    assert programs[1].fetches["mask"].nbytes == 24 * 37, "what leaves is stored as ever"


def test_what_comes_in_goes_out_or_is_read_by_a_hand_written_kernel_keeps_its_form() -> None:
    half = Stored("half", 2, "float16")
    x = feed("x", (8, 8))
    shifted = x + 1.0
    product = matmul(reshape(shifted, (1, 8, 8)), reshape(shifted, (1, 8, 8)))
    inner = reshape(product, (8, 8)) * 2.0
    result = inner + 3.0
    prepared = prepare({"y": result}, TARGETS["cpu"])
    (found,) = stored(prepared, lambda tensor: half).values()
    assert found.stored == FLOAT32
    assert found.inputs[0].stored == half
    made = found.inputs[0].inputs[0].inputs[0]
    assert {each.stored for view in made.inputs for each in view.inputs} == {FLOAT32}
    assert shifted.stored == x.stored == FLOAT32, "the graph that was given stays as it is"


@pytest.mark.parametrize("element", ELEMENTS)
def test_the_table_agrees_with_numpy(element: str) -> None:
    form = ELEMENTS[element].stored  # type: ignore[index]
    assert np.dtype(form.numpy).itemsize == form.bytes
