"""Refuses programs that a driver would compute wrongly because it ends long loops."""

from __future__ import annotations

from math import prod

from graphdl.compiler.program import Launch, Program
from graphdl.diagnostics import DeviceError
from graphdl.runtime.ranking import DeviceInfo

_SUMS = 16
"""The sums of a work-item of a product, which it adds to in one turn of a loop."""


def check_loops(program: Program, info: DeviceInfo) -> None:
    """Checks that no work-item needs more turns of loops than the device runs.

    Raises:
        DeviceError: one may. The message names the launch.
    """
    if not info.loop_turns:
        return
    for launch in program.launches:
        turns = _most_turns(launch)
        if turns > info.loop_turns:
            raise DeviceError(
                f"{info.name} ends the loops of a work-item after {info.loop_turns:,} turns, without an error, and "
                f"'{launch.label or launch.kernel}' may need {turns:,}; use another device"
            )


def _most_turns(launch: Launch) -> int:
    """An upper bound: a turn does at least one operation, or one for each sum of a hand-written product.

    All but one work-item of the last group may have nothing to do.
    """
    items = prod(launch.global_size) - prod(launch.local_size) + 1
    operations = launch.flops // items
    return operations // _SUMS if launch.form is not None else operations
