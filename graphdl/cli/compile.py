"""``graphdl compile``: runs the compiler and prints the plan, or any stage of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from graphdl.cli.options import FILE, FOLDER, device_option, memory_option, model_options

if TYPE_CHECKING:
    from graphdl.compiler.program import Program

STAGES = ("tree", "modules", "operators", "schedule", "memory", "opencl")


@click.command("compile")
@click.argument("file", type=FILE)
@click.option("--batch", type=click.IntRange(1), metavar="N", help="Examples at once; the train section's by default.")
@click.option("--inference", is_flag=True, help="Compile the prediction, not a training step.")
@click.option("--emit", type=click.Choice(STAGES), help="Print a stage of the compiler.")
@click.option("-o", "folder", type=FOLDER, metavar="DIR", help="Write all stages to a folder.")
@memory_option
@model_options
@device_option
def command(
    file: Path,
    batch: int | None,
    inference: bool,
    emit: str | None,
    folder: Path | None,
    memory: int | None,
    net: str | None,
    settings: dict[str, str],
    device: str | None,
) -> None:
    """Compiles a training step of the model, or its prediction, and prints the plan."""
    from graphdl.compiler import listing
    from graphdl.language import load_source
    from graphdl.language.listing import tree
    from graphdl.model import Model
    from graphdl.rendering import printable_lines

    if emit == "tree" and folder is None:
        click.echo(printable_lines(tree(load_source(file))))
        return
    model = Model(load_source(file), net=net, device=device, settings=settings)
    training = not inference and bool(model.network.training.losses)
    graph = model.network.graph(training)
    if batch is None:
        batch = model.stages()[0].batch if training else 1
    if emit == "modules" and folder is None:
        click.echo(printable_lines(listing.modules(graph)))
        return
    if emit == "operators" and folder is None:
        click.echo(printable_lines(listing.operators(model.tensors(batch=batch, training=training))))
        return
    program = model.compile(batch=batch, training=training, memory=memory)
    if folder is not None:
        texts = {
            "tree.txt": tree(model.source),
            "modules.txt": listing.modules(graph),
            "operators.txt": listing.operators(model.tensors(batch=batch, training=training)),
            "schedule.txt": listing.schedule(program),
            "memory.txt": listing.memory(program),
            "program.cl": listing.opencl(program),
        }
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            (folder / name).write_text(text + "\n", encoding="utf-8", errors="backslashreplace")
    if emit in ("schedule", "memory", "opencl"):
        stages = {"schedule": listing.schedule, "memory": listing.memory, "opencl": listing.opencl}
        click.echo(printable_lines(stages[emit](program)))
    elif emit is None:
        what = f"a training step of {batch}" if training else f"a prediction of {batch}"
        click.echo(f"{model.name}: {what} on {model.network.device.info.name}")
        click.echo(_plan(program))


def _plan(program: Program) -> str:
    from graphdl.summary import quantity, size

    variables = sum(slot.nbytes for slot in program.variables.values())
    moved = sum(launch.bytes * launch.times for launch in program.launches)
    enqueued = sum(launch.times for launch in program.launches)
    rows = [
        ("launches", f"{enqueued} of {len(program.kernels)} kernels"),
        ("FLOPs", quantity(program.flops)),
        ("bytes moved", size(moved)),
        ("peak memory", size(program.peak_bytes)),
        ("  variables", size(variables)),
        ("  intermediate", f"{size(program.arena_bytes)} ({size(program.live_bytes)} alive at once)"),
    ]
    narrow = [block for block in program.arena_blocks if block.form]
    if narrow:
        saved = size(sum(block.nbytes for block in narrow))
        rows.append((f"  in {narrow[0].form}", f"{len(narrow)} tensors of {saved}, which saves as much"))
    again = [launch for launch in program.launches if launch.again]
    if again:
        flops = sum(launch.flops * launch.times for launch in again)
        rows.append(("run again", f"{sum(launch.times for launch in again)} launches, {quantity(flops)} FLOPs"))
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"  {name:<{width}}  {value}" for name, value in rows)
