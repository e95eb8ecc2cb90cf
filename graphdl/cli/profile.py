"""``graphdl profile``: where the time of a training step or of a prediction goes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from graphdl.cli.options import FILE, FOLDER, device_option, json_option, memory_option, model_options

if TYPE_CHECKING:
    from graphdl.training.profiling import Profile, Row

_WIDTH = 80
_FIGURES = 42
"""Columns that the figures of a row take, with their spaces."""
_ROWS = 12


@click.command("profile")
@click.argument("target", metavar="FILE | RUN", type=click.Path(path_type=Path))
@click.option("--inference", is_flag=True, help="Profile the prediction, not a training step.")
@click.option("--batch", type=click.IntRange(1), metavar="N", help="Examples at once; the train section's by default.")
@click.option("--steps", type=click.IntRange(1), metavar="N", help="How many steps are timed; 20 by default.")
@click.option("--rows", type=click.IntRange(1), default=_ROWS, metavar="N", help="Rows of a table; 12 by default.")
@click.option("--trace", type=FILE, metavar="TRACE", help="Write a trace for Perfetto or Chrome.")
@click.option("--data", metavar="TEXT", help="The data to take a batch of, in place of the file's.")
@click.option("--data-root", type=FOLDER, metavar="DIR", help="The folder of data sets; else GRAPHDL_DATA or a cache.")
@memory_option
@model_options
@device_option
@json_option
def command(
    target: Path,
    inference: bool,
    batch: int | None,
    steps: int | None,
    rows: int,
    trace: Path | None,
    data: str | None,
    data_root: Path | None,
    memory: int | None,
    net: str | None,
    settings: dict[str, str],
    device: str | None,
    as_json: bool,
) -> None:
    """Times a training step of the model, or its prediction: by kernel, by module and by line of the file.

    Nothing is trained: the step is taken again and again from one batch, and forgotten.
    """
    from graphdl.cli.progress import compiling
    from graphdl.cli.target import data_of, open_model
    from graphdl.rendering import printable_lines
    from graphdl.runtime.trace import trace_of
    from graphdl.training.profiling import RUNS, profile_prediction, profile_step
    from graphdl.training.samples import sample
    from graphdl.training.stages import Overrides

    model = open_model(target, net=net, settings=settings, device=device)
    training = not inference and bool(model.network.training.losses)
    stage = model.stages(Overrides(batch=batch))[0].first if training else None
    overrides, root, origin = data_of(target, data, data_root)
    count = stage.batch if stage is not None else batch or 1
    taken = sample(model.network, count, overrides, root=root, origin=origin, known=model.known)
    with compiling(model.network, quiet=as_json):
        if stage is not None:
            found = profile_step(model.network, stage, taken.arrays, steps or RUNS, memory)
        else:
            found = profile_prediction(model.network, taken.arrays, steps or RUNS)
    if trace is not None:
        trace.write_text(json.dumps(trace_of(found.timeline, model.name)), encoding="utf-8")
    name = model.network.device.info.name
    if as_json:
        click.echo(json.dumps(_json(found, model.name, name, taken.origin), indent=2))
        return
    what = "a training step" if training else "a prediction"
    click.echo(printable_lines(f"{model.name}: {what} of {found.batch} on {name}, {taken.origin}"))
    click.echo(printable_lines("\n".join(_totals(found))))
    for title, table in (
        ("by kind", found.kinds), ("by launch", found.kernels), ("by module", found.modules), ("by line", found.lines),
    ):  # fmt: skip
        click.echo(printable_lines("\n" + "\n".join(_table(title, table, found, rows))))


def _totals(found: Profile) -> list[str]:
    flops, moved = found.flops, found.bytes
    running, peak = max(found.running, 1e-12), found.peak
    parts = (
        ("kernels", found.running),
        ("copies of inputs", found.copying),
        ("gaps between launches", found.between_launches),
        ("gap to the next step", found.between_steps),
    )
    lines = [f"  {_ms(found.step)} ms a step, {found.batch / found.step:,.0f} examples/s"]
    lines += [f"    {name:<22} {_ms(seconds)} ms  {seconds / found.step:6.1%}" for name, seconds in parts]
    lines += [
        f"  {flops / running / 1e9:.1f} GFLOP/s in kernels, {flops / running / peak.flops:.0%} of the measured peak "
        f"of {peak.flops / 1e9:.1f}",
        f"  {moved / running / 1e9:.1f} GB/s in kernels, {moved / running / peak.bandwidth:.0%} of the measured "
        f"{peak.bandwidth / 1e9:.1f} of a copy",
    ]
    return lines


def _table(title: str, table: list[Row], found: Profile, most: int) -> list[str]:
    """The slowest rows, and a row for all others."""
    from graphdl.training.profiling import Row

    shown, others = table[:most], table[most:]
    if others:
        name = f"{len(others)} others"
        seconds, flops, moved = (sum(getattr(row, part) for row in others) for part in ("seconds", "flops", "bytes"))
        shown = [*shown, Row(name, seconds, flops, moved, 0)]
    width = _WIDTH - _FIGURES
    lines = [f"{title:<{width}}      ms  share  GFLOP/s  peak   GB/s"]
    for row in shown:
        name = row.name if len(row.name) <= width else row.name[: width - 1] + "…"
        running = max(row.seconds, 1e-12)
        rate = row.flops / running
        figures = f"{rate / 1e9:8.1f} {rate / found.peak.flops:5.0%}" if row.flops else " " * 14
        moved = f"{row.bytes / running / 1e9:6.1f}"
        lines.append(f"{name:<{width}}{_ms(row.seconds)} {row.seconds / found.step:6.1%} {figures} {moved}")
    return lines


def _ms(seconds: float) -> str:
    """Milliseconds in eight columns."""
    milliseconds = seconds * 1e3
    return f"{milliseconds:8.3f}" if milliseconds < 1000 else f"{milliseconds:8.1f}"


def _json(found: Profile, name: str, device: str, origin: str) -> dict[str, Any]:
    return {
        "model": name,
        "training": found.training,
        "batch": found.batch,
        "device": device,
        "data": origin,
        "seconds": found.step,
        "kernels": found.running,
        "copies": found.copying,
        "between_launches": found.between_launches,
        "between_steps": found.between_steps,
        "flops": found.flops,
        "peak": {"flops": found.peak.flops, "bandwidth": found.peak.bandwidth},
        "by_kind": _rows(found.kinds),
        "by_launch": [
            {
                "label": launch.label, "kernel": launch.kernel, "seconds": seconds, "times": launch.times,
                "flops": launch.flops * launch.times, "bytes": launch.bytes * launch.times,
                "shares": [
                    {"module": share.module, "line": str(share.span) if share.span else None, "part": share.part}
                    for share in launch.shares
                ],
            }
            for launch, seconds in found.launches
        ],
        "by_module": _rows(found.modules),
        "by_line": _rows(found.lines),
    }  # fmt: skip


def _rows(table: list[Row]) -> list[dict[str, Any]]:
    return [
        {"name": row.name, "seconds": row.seconds, "flops": row.flops, "bytes": row.bytes, "launches": row.launches}
        for row in table
    ]
