"""Refuses programs that a driver would compute wrongly because it ends long loops."""

from __future__ import annotations

from math import prod

from graphdl.compiler.program import Launch, Program
from graphdl.diagnostics import DeviceError
from graphdl.runtime.ranking import DeviceInfo


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
    """An upper bound: a turn does at least one operation.

    All but one work-item of the last group may have nothing to do. If the work depends on data, one may do it all.
    """
    if launch.form is not None and not launch.form.family.even:
        return launch.flops
    return launch.flops // (prod(launch.global_size) - prod(launch.local_size) + 1)
