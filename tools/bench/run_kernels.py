"""Single kernels beside the measured peak, by what ``kernels.py`` measures: see ``worker.py``."""

from __future__ import annotations

import time

import kernels
import torch
from worker import Order, Runner

from graphdl.runtime.devices import open_device

PRODUCTS = [
    "square 512", "square", "square 1536", "square 2048", "odd 511x513x509", "odd 1000x37x333", "odd 65x2049x1023"
]  # fmt: skip
CONVOLUTIONS = ["resnet-50 64 3x3", "resnet-50 128 3x3", "resnet-50 256 3x3", "resnet-50 512 3x3"]


def measured(order: Order) -> Runner:
    """Its facts hold ``kernels``: name, best GFLOP/s of ours and of PyTorch's, the median ratio of
    their times, and the median share of the peak."""
    torch.set_num_threads(order.threads)
    device = open_device(order.device)
    rows = []
    if order.row == "products":
        for name in PRODUCTS:
            rows += list(kernels.matmul_rows(device, name, *kernels.MATMULS[name]))[:1]
    else:
        for name in CONVOLUTIONS:
            rows += list(kernels.convolution_rows(device, name, *kernels.CONVOLUTIONS[name]))
    found = [(row[0], *kernels.measure(device, row, time.perf_counter)) for row in rows]
    return Runner(lambda steps: None, {"kernels": found})
