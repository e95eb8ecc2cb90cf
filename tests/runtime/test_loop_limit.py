"""Programs whose loops a driver would end early."""

from __future__ import annotations

from dataclasses import replace

import pytest

from graphdl.compiler.build import build
from graphdl.compiler.program import Program, Target
from graphdl.diagnostics import DeviceError
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
    check_loops(program(reduce("sum", feed("x", (3, 300)), (1,))), limited)
    with pytest.raises(DeviceError, match=r"the device ends the loops of a work-item after 1,000 turns.* may need 3,6"):
        check_loops(program(reduce("sum", feed("x", (3, 1200)), (1,))), limited)


def test_a_product_adds_to_many_sums_in_a_turn(device: Device) -> None:
    limited = replace(device.info, loop_turns=1000)
    check_loops(program(matmul(feed("a", (1, 640, 400)), feed("b", (1, 400, 64)))), limited)
    with pytest.raises(DeviceError, match="matmul"):
        check_loops(program(matmul(feed("a", (1, 64, 700)), feed("b", (1, 700, 64)))), limited)


def test_other_devices_run_everything(device: Device) -> None:
    check_loops(program(reduce("sum", feed("x", (3, 12000)), (1,))), replace(device.info, loop_turns=0))
