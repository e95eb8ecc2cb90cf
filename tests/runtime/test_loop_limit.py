"""Programs whose loops a driver would end early."""

from __future__ import annotations

from dataclasses import replace

import pytest

from graphdl.compiler.build import build
from graphdl.compiler.program import Program, Target
from graphdl.diagnostics import DeviceError
from graphdl.operators.gather import segment_sum
from graphdl.operators.matmul import matmul
from graphdl.operators.reduction import reduce
from graphdl.operators.tensor import Tensor, feed
from graphdl.runtime.loop_limit import check_loops
from graphdl.runtime.opencl import Device

SHORT = Target("gpu", vector_width=4, compute_units=2, max_work_group=32)


def program(result: Tensor) -> Program:
    return build({"y": result}, {}, SHORT)


def test_a_sum_that_is_too_long_is_refused(device: Device) -> None:
    limited = replace(device.info, name="the device", loop_turns=1000)
    check_loops(program(reduce("sum", feed("x", (300, 3)), (0,))), limited)
    with pytest.raises(DeviceError, match=r"the device ends the loops of a work-item after 1,000 turns.* may need 3,6"):
        check_loops(program(reduce("sum", feed("x", (1200, 3)), (0,))), limited)


def test_a_work_group_shares_a_sum_along_memory(device: Device) -> None:
    shared = program(reduce("sum", feed("x", (3, 1200)), (1,)))
    check_loops(shared, replace(device.info, loop_turns=100))
    with pytest.raises(DeviceError, match="may need"):  # 1,200 elements for 32 work-items
        check_loops(shared, replace(device.info, loop_turns=1200 // 32))


def test_a_product_that_is_too_long_is_refused(device: Device) -> None:
    """A work-item has 16 sums, and may add to one of them in a turn."""
    limited = replace(device.info, loop_turns=20_000)
    check_loops(program(matmul(feed("a", (1, 640, 400)), feed("b", (1, 400, 64)))), limited)
    with pytest.raises(DeviceError, match="matmul"):
        check_loops(program(matmul(feed("a", (1, 64, 700)), feed("b", (1, 700, 64)))), limited)


def test_a_sum_over_segments_may_be_the_work_of_one_item(device: Device) -> None:
    """All indices may name one row of the table, whose gradient is then one long sum."""
    summed = segment_sum(feed("k", (1, 500), "int"), feed("g", (1, 500, 40)), 3000)
    check_loops(program(summed), replace(device.info, loop_turns=20_000))
    with pytest.raises(DeviceError, match="segment"):
        check_loops(program(summed), replace(device.info, loop_turns=19_999))


def test_other_devices_run_everything(device: Device) -> None:
    check_loops(program(reduce("sum", feed("x", (3, 12000)), (1,))), replace(device.info, loop_turns=0))
