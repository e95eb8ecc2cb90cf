"""``graphdl devices``: what there is, what would be used, and why."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import Any

import click

from graphdl.diagnostics import DeviceError
from graphdl.runtime.devices import all_devices, probe
from graphdl.runtime.ranking import INSTALL_HINT, DeviceInfo, ranked


@dataclass(frozen=True)
class _Finding:
    """A device, what the probe said of it, and what became of it in the choice."""

    info: DeviceInfo
    failure: str | None
    chosen: bool
    rank: int

    @property
    def verdict(self) -> str:
        if self.failure is not None:
            return f"does not work: {self.failure}"
        reasons = ", ".join(self.info.reasons)
        return f"chosen: {reasons}" if self.chosen else f"works, rank {self.rank}: {reasons}"

    def to_json(self) -> dict[str, Any]:
        info = self.info
        return {
            "index": info.index,
            "name": info.name,
            "platform": info.platform,
            "platform_version": info.platform_version,
            "vendor": info.vendor,
            "version": info.version,
            "driver_version": info.driver_version,
            "kind": info.kind,
            "compute_units": info.compute_units,
            "memory": info.memory,
            "max_allocation": info.max_allocation,
            "local_memory": info.local_memory,
            "max_work_group": info.max_work_group,
            "vector_width": info.vector_width,
            "works": self.failure is None,
            "failure": self.failure,
            "chosen": self.chosen,
            "rank": self.rank,
            "reasons": list(info.reasons),
            "quirks": [{"name": quirk.name, "reference": quirk.reference} for quirk in info.quirks],
        }


@click.command("devices")
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
def command(as_json: bool) -> None:
    """Lists every OpenCL device of every platform.

    Each is probed with a kernel of one line. Tells which one would be used by default and why, and which known quirks
    of its driver are worked around. Any verb that runs a model takes --device with an index, gpu, cpu, gpu:1, or a
    part of a platform's or device's name.
    """
    findings = _examine(all_devices())
    if as_json:
        click.echo(json.dumps([finding.to_json() for finding in findings], indent=2))
    elif not findings:
        raise DeviceError(f"no OpenCL device found; {INSTALL_HINT}")
    else:
        text = "\n".join(_block(finding) for finding in findings)
        click.echo(text, color=False if os.environ.get("NO_COLOR") else None)


def _examine(devices: list[DeviceInfo]) -> list[_Finding]:
    failures = {info.index: probe(info) for info in devices}
    order = ranked(devices)
    chosen = next((info.index for info in order if info.by_default and failures[info.index] is None), None)
    return [
        _Finding(info, failures[info.index], info.index == chosen, rank)
        for rank, info in sorted(enumerate(order, 1), key=lambda ranked_info: ranked_info[1].index)
    ]


def _facts(info: DeviceInfo) -> str:
    return (
        f"{info.compute_units} compute units, vectors of {info.vector_width}, "
        f"{_gib(info.memory)} memory, {_gib(info.max_allocation)} in one buffer"
    )


def _gib(nbytes: int) -> str:
    return f"{nbytes / 2**30:.1f} GiB"


def _block(finding: _Finding) -> str:
    info = finding.info
    color = "red" if finding.failure is not None else "green" if finding.chosen else None
    lines = [
        click.style(f"{info.index}: {info.name}", bold=finding.chosen),
        f"   {info.platform}, {info.version}, driver {info.driver_version}",
        f"   {info.kind}, {_facts(info)}",
        click.style(f"   {finding.verdict}", fg=color),
    ]
    lines += [f"   quirk {quirk.name}: {quirk.reference}" for quirk in info.quirks]
    return "\n".join(lines)
