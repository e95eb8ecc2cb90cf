"""ONNX Runtime, on what PyTorch exports of the twin: see ``worker.py``."""

from __future__ import annotations

import io

import onnx  # noqa: F401  (the exporter needs it, and says so late)
import onnxruntime
import torch
from measured_nets import NETS
from torch import nn
from worker import Order, Runner


def inference(order: Order) -> Runner:
    """Predictions of a batch in host memory, each of which is read."""
    row = NETS[order.row]
    net = nn.Sequential(row.twin(), nn.Softmax(-1)).eval()
    given = row.examples(order.batch)[row.given]
    file = io.BytesIO()
    torch.onnx.export(
        net, (torch.from_numpy(given),), file, input_names=["given"], opset_version=17, dynamo=False
    )  # fmt: skip
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = order.threads
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(file.getvalue(), options, providers=["CPUExecutionProvider"])

    def run(steps: int) -> None:
        for _ in range(steps):
            session.run(None, {"given": given})

    return Runner(run)
