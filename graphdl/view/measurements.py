"""A training step, measured: time by module, gradient norms, the order of launches and the use of memory."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from graphdl.compiler.program import Launch, Program
from graphdl.training import inference
from graphdl.training.samples import sample
from graphdl.training.stages import Overrides

if TYPE_CHECKING:
    from graphdl.model import Model

_BATCH = 16


def measurements(
    model: Model, batch: int | None, overrides: Overrides, *, root: Path | None = None, origin: Path | None = None
) -> dict[str, Any]:
    """The entries ``measured`` and ``schedule`` of a page's bundle, of a gradient computation on one batch.

    The net's weights stay as they are: what is measured is a step's forward and reverse pass, without the update.

    Raises:
        ModelError: the net has no loss, or the data that ``overrides`` name does not fit.
        DeviceError: the device refuses.
    """
    taken = sample(model.network, batch or _BATCH, overrides, root=root, origin=origin, known=model.known)
    minimize = tuple(model.network.training.losses)
    _, gradients = inference.gradients(model.network, taken.arrays, minimize, training=True)
    launches, program = inference.profiled_gradients(model.network, taken.arrays, minimize)
    return {
        "measured": {
            "origin": taken.origin,
            "device": model.network.device.info.name,
            "gradients": {path: float(np.linalg.norm(g.astype(np.float64))) for path, g in gradients.items()},
            "time": by_module(launches),
        },
        "schedule": schedule(program, launches),
    }


def by_module(launches: list[tuple[Launch, float]]) -> Mapping[str, float]:
    """Seconds by the path of a module. A kernel that serves several modules is divided among them evenly."""
    times: dict[str, float] = {}
    for launch, seconds in launches:
        owners = launch.modules or ("",)
        for path in owners:
            times[path] = times.get(path, 0.0) + seconds / len(owners)
    return times


def schedule(program: Program, launches: list[tuple[Launch, float]]) -> dict[str, Any]:
    """The launches in order, those of loops with all turns together, and the arena's blocks with places and lives."""
    return {
        "launches": [
            {
                "label": launch.label,
                "seconds": seconds,
                "modules": list(launch.modules),
                "flops": launch.flops * launch.times,
                "bytes": launch.bytes * launch.times,
            }
            for launch, seconds in launches
        ],
        "blocks": [
            {"offset": b.offset, "bytes": b.nbytes, "first": b.first, "last": b.last, "label": b.label}
            for b in program.arena_blocks
        ],
        "arena": program.arena_bytes,
        "alive": program.live_bytes,
        "peak": program.peak_bytes,
    }
