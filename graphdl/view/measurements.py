"""A training step, measured: time by module, gradient norms, the order of launches and the use of memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from graphdl.compiler.program import Launch, Program
from graphdl.training import inference
from graphdl.training.profiling import UNOWNED, Row, profile_step, rows
from graphdl.training.samples import sample
from graphdl.training.stages import Overrides, stages

if TYPE_CHECKING:
    from graphdl.model import Model

_BATCH = 16


def measurements(
    model: Model, batch: int | None, overrides: Overrides, *, root: Path | None = None, origin: Path | None = None
) -> dict[str, Any]:
    """The entries ``measured`` and ``schedule`` of a page's bundle, from training steps on one batch.

    The steps are those that ``graphdl profile`` measures, too. The net's weights stay unchanged.

    Raises:
        ModelError: the net has no loss, or the data that ``overrides`` name does not fit.
        DeviceError: the device refuses.
    """
    network = model.network
    taken = sample(network, batch or _BATCH, overrides, root=root, origin=origin, known=model.known)
    _, gradients = inference.gradients(network, taken.arrays, tuple(network.training.losses), training=True)
    found = profile_step(
        network, stages(network.training, replace(overrides, batch=batch or _BATCH))[0].first, taken.arrays
    )
    return {
        "measured": {
            "origin": taken.origin,
            "device": network.device.info.name,
            "gradients": {path: float(np.linalg.norm(g.astype(np.float64))) for path, g in gradients.items()},
            "time": by_module(found.launches),
            "flops": {_path(row): row.flops for row in found.modules},
            "moved": {_path(row): row.bytes for row in found.modules},
            "lines": {row.name: row.seconds for row in found.lines},
            "step": found.step,
            "peak": {"flops": found.peak.flops, "bandwidth": found.peak.bandwidth},
        },
        "schedule": schedule(found.timeline.program, found.launches),
    }


def by_module(launches: Sequence[tuple[Launch, float]]) -> Mapping[str, float]:
    """Seconds by module path. The time of a kernel for several modules is divided among them by their work."""
    made = rows(launches, lambda launch: [(share.module, share.part) for share in launch.shares])
    return {_path(row): row.seconds for row in made}


def _path(row: Row) -> str:
    return "" if row.name == UNOWNED else row.name


def schedule(program: Program, launches: Sequence[tuple[Launch, float]]) -> dict[str, Any]:
    """The launches in order, those of loops summed over all turns, and the arena's blocks with offsets and lives."""
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
