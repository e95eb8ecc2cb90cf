"""``graphdl devices``: the available devices, the default one, and the reasons for the choice."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import Any

import click

from graphdl.diagnostics import DeviceError
from graphdl.runtime.devices import Finding, all_devices, nothing_found, survey, wanted
from graphdl.runtime.drivers.loader import load_failure, runtimes
from graphdl.runtime.ranking import DeviceInfo


@dataclass(frozen=True)
class _Entry:
    """A device, the result of its probe, and its rank in the choice."""

    finding: Finding
    chosen: bool
    rank: int

    @property
    def verdict(self) -> str:
        if self.finding.failure is not None:
            return f"does not work: {self.finding.failure}"
        reasons = ", ".join(self.finding.info.reasons)
        if self.finding.speed is not None:
            reasons += f", {self.finding.speed / 1e9:.0f} GFLOP/s measured"
        return f"chosen: {reasons}" if self.chosen else f"works, rank {self.rank}: {reasons}"

    def to_json(self) -> dict[str, Any]:
        info = self.finding.info
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
            "works": self.finding.failure is None,
            "failure": self.finding.failure,
            "speed": self.finding.speed,
            "refused_precisions": dict(self.finding.refused),
            "chosen": self.chosen,
            "rank": self.rank,
            "reasons": list(info.reasons),
            "quirks": [{"name": quirk.name, "reference": quirk.reference} for quirk in info.quirks],
        }


@click.command("devices")
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
def command(as_json: bool) -> None:
    """Lists every OpenCL runtime and every device of every platform.

    Each device is probed with a kernel of one line, and the first time with a self-test whose verdict is kept. Tells
    which one would be used by default and why, which known quirks of its driver are worked around, and why a runtime
    does not work and what to do about it. Any verb that runs a model takes --device with an index, gpu, cpu, gpu:1, or
    a part of a platform's or device's name; GRAPHDL_DEVICE stands for it where it is left out.
    """
    entries = _examine(all_devices())
    if as_json:
        click.echo(json.dumps([entry.to_json() for entry in entries], indent=2))
        return
    lines = [*_runtime_lines(), *(_block(entry) for entry in entries)]
    if lines:
        click.echo("\n".join(lines), color=False if os.environ.get("NO_COLOR") else None)
    if not entries:
        raise nothing_found()


def _examine(devices: list[DeviceInfo]) -> list[_Entry]:
    findings = survey(devices)
    meant = _meant(devices)
    chosen = next((found for found in findings if found.info.index in meant and found.failure is None), None)
    entries = [_Entry(finding, finding is chosen, rank) for rank, finding in enumerate(findings, 1)]
    return sorted(entries, key=lambda entry: entry.finding.info.index)


def _meant(devices: list[DeviceInfo]) -> set[int]:
    """The indices of the devices that would be tried without ``--device``; empty if there are none."""
    try:
        return {info.index for info in wanted(devices)}
    except DeviceError:
        return set()


def _runtime_lines() -> list[str]:
    """The drivers that were found, their origins, and their errors."""
    lines = []
    for runtime in runtimes():
        problem = runtime.problem or load_failure(runtime)
        lines.append(f"runtime {runtime.library}")
        lines.append(f"   from {runtime.origin}")
        lines.append(click.style(f"   does not work: {problem}", fg="red") if problem else "   loads")
    return lines


def _facts(info: DeviceInfo) -> str:
    return (
        f"{info.compute_units} compute units, vectors of {info.vector_width}, "
        f"{_gib(info.memory)} memory, {_gib(info.max_allocation)} in one buffer"
    )


def _gib(nbytes: int) -> str:
    return f"{nbytes / 2**30:.1f} GiB"


def _block(entry: _Entry) -> str:
    info = entry.finding.info
    color = "red" if entry.finding.failure is not None else "green" if entry.chosen else None
    lines = [
        click.style(f"{info.index}: {info.name}", bold=entry.chosen),
        f"   {info.platform}, {info.version}, driver {info.driver_version}",
        f"   {info.kind}, {_facts(info)}",
        click.style(f"   {entry.verdict}", fg=color),
    ]
    lines += [f"   precision {name}: {why or 'works'}" for name, why in entry.finding.refused.items()]
    lines += [f"   quirk {quirk.name}: {quirk.reference}" for quirk in info.quirks]
    return "\n".join(lines)
