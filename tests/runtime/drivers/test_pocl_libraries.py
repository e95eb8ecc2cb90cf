"""PoCL's libraries of kernels stay in memory while a program uses them in turn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from graphdl.compiler.program import Binding, Kernel, Launch, Program, Slot
from graphdl.runtime import Executor, VariableStore
from graphdl.runtime.opencl import Device

MORE = 8


def program_of(count: int, device: Device) -> Program:
    """Every kernel adds another number to the variable ``w``."""
    kernels = {
        f"add{k}": Kernel(f"add{k}", f"__kernel void add{k}(__global float *w, ulong at) {{ w[at] += {k}; }}")
        for k in range(count)
    }
    return Program(
        target=device.target,
        kernels=kernels,
        launches=tuple(Launch(name, (Binding("variable", "w"),), (1,), (1,), label=name) for name in kernels),
        arena_bytes=0,
        arena_blocks=(),
        variables={"w": Slot("w", (1,), "float")},
        feeds={},
        fetches={},
        constants={},
    )


def loaded(names: set[str]) -> set[str]:
    """The kernels whose library is mapped into this process."""
    mapped = {Path(line.split()[-1]).stem for line in Path("/proc/self/maps").read_text().splitlines() if "/" in line}
    return names & mapped


def test_all_kernels_of_a_program_stay_loaded(device: Device) -> None:
    most = device.info.kernels_loaded
    if not most:
        pytest.skip(f"{device.info.platform} does not unload kernels")
    count, store = most + MORE, VariableStore(device)
    executor = Executor(program_of(count, device), device, store)
    executor.run()
    executor.run()
    executor.finish()
    names = executor.kernels.names
    assert len(names) == count
    assert len(loaded(names)) <= most
    executor.run()
    executor.finish()
    assert loaded(names) == names
    np.testing.assert_array_equal(store["w"], [3 * sum(range(count))])
