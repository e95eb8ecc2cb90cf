"""The measured peak of a device: see ``worker.py``."""

from __future__ import annotations

from run_graphdl import device_facts
from worker import Order, Runner

from graphdl.runtime.devices import open_device
from graphdl.runtime.peak import measured_peak


def peak(order: Order) -> Runner:
    """Its facts hold the figures, in FLOP/s and bytes a second; there is nothing more to run."""
    device = open_device(order.device)
    found = measured_peak(device)
    return Runner(lambda steps: None, {**device_facts(device), "peak": found.flops, "bandwidth": found.bandwidth})
