"""graphdl: see ``worker.py``."""

from __future__ import annotations

from typing import Any

from measured_nets import NETS
from worker import Order, Runner

from graphdl.compiler.program import Program
from graphdl.runtime.opencl import Device


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


def inference(order: Order) -> Runner:
    """Predictions of a batch in host memory, each of which is read."""
    net = NETS[order.row]
    model = net.model(order.device)
    given = {net.given: net.examples(order.batch)[net.given]}

    def run(steps: int) -> None:
        for _ in range(steps):
            model.predict(batch=order.batch, **given)

    return Runner(run, facts(model.network.device, model.compile(batch=order.batch)))
