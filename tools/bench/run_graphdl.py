"""graphdl: see ``worker.py``."""

from __future__ import annotations

from itertools import cycle
from typing import Any

from measured_nets import MODELS, NETS
from worker import Order, Runner

from graphdl.compiler.program import Program
from graphdl.data.batches import Batches
from graphdl.data.pipeline import pipeline
from graphdl.data.prefetch import Prefetch
from graphdl.model import Model
from graphdl.runtime.opencl import Device
from graphdl.source import Source
from graphdl.training.sources import loader
from graphdl.training.stages import Overrides
from graphdl.training.trainer import Trainer


def device_facts(device: Device) -> dict[str, Any]:
    info = device.info
    platform = {"Portable Computing Language": "PoCL"}.get(info.platform, info.platform)
    return {"runtime": f"{platform} {info.driver_version}", "device": info.name, "gpu": info.kind == "gpu"}


def facts(device: Device, program: Program) -> dict[str, Any]:
    counts = {"flops": program.flops, "launches": len(program.launches), "peak_bytes": program.peak_bytes}
    return {**device_facts(device), **counts}


def training(order: Order) -> Runner:
    """Steps from a batch in host memory. The loss of the last one is read."""
    net = NETS[order.row]
    model = net.model(order.device)
    trainer = model.trainer(batch=order.batch)
    batch = net.examples(order.batch)

    def run(steps: int) -> None:
        for _ in range(steps):
            report = trainer.step(**batch)
        float(report)

    return Runner(run, facts(model.network.device, trainer.program))


def fed(order: Order) -> Runner:
    """Steps by the file's own train section: batches of its data set, decoded and augmented ahead, as in training."""
    trainer, batches, device = _of_file(order)
    ahead = Prefetch(lambda at: batches.get(*divmod(at, len(batches))), iter(range(1 << 40)))

    def run(steps: int) -> None:
        for _ in range(steps):
            report = trainer.submit(next(ahead).arrays)
            for earlier in trainer.reports.ready():
                _ = earlier.values
        float(report)

    return Runner(run, device_facts(device))


def unfed(order: Order) -> Runner:
    """The same steps, but from batches that were prepared before."""
    trainer, batches, device = _of_file(order)
    ready = cycle([batches.get(0, index).arrays for index in range(min(8, len(batches)))])

    def run(steps: int) -> None:
        for _ in range(steps):
            report = trainer.submit(next(ready))
            for earlier in trainer.reports.ready():
                _ = earlier.values
        float(report)

    return Runner(run, device_facts(device))


def _of_file(order: Order) -> tuple[Trainer, Batches, Device]:
    path = MODELS / NETS[order.row].file
    model = Model(Source(path.name, path.read_text("utf-8"), str(path)), device=order.device)
    stage = model.stages(Overrides(batch=order.batch))[0]
    dataset = loader()(stage)
    trainer = Trainer(model.network, stage)
    batches = Batches(
        dataset, "train", trainer.inputs, batch=stage.batch, training=True, seed=stage.seed,
        augment=pipeline(stage.augment, dataset),
    )  # fmt: skip
    trainer.steps_per_epoch = len(batches)
    return trainer, batches, model.network.device


def inference(order: Order) -> Runner:
    """Predictions of a batch in host memory, each of which is read."""
    net = NETS[order.row]
    model = net.model(order.device)
    given = {net.given: net.examples(order.batch)[net.given]}

    def run(steps: int) -> None:
        for _ in range(steps):
            model.predict(batch=order.batch, **given)

    return Runner(run, facts(model.network.device, model.compile(batch=order.batch)))
