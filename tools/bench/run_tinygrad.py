"""tinygrad on the same OpenCL device, with its kernels captured once by ``TinyJit``: see ``worker.py``."""

from __future__ import annotations

import ctypes
import importlib
import os
from collections.abc import Callable
from pathlib import Path

import pyopencl
from measured_nets import NETS
from worker import Order, Runner

from graphdl.runtime.devices import choose

_LOADER = next(iter(Path(pyopencl.__file__).parent.glob(".libs/libOpenCL*")), None)
if _LOADER is not None:
    os.environ["OPENCL_PATH"] = str(_LOADER)  # PyOpenCL's own loader knows the drivers that pip installed
os.environ["DEV"] = "CL"

from tinygrad import Tensor, TinyJit, nn  # noqa: E402
from tinygrad.helpers import Context  # noqa: E402
from tinygrad.nn.optim import SGD  # noqa: E402

Layer = Callable[[Tensor], Tensor]


def mlp() -> list[Layer]:
    return [
        lambda x: x.flatten(1), nn.Linear(784, 512), Tensor.relu, nn.Linear(512, 512), Tensor.relu, nn.Linear(512, 10)
    ]  # fmt: skip


def lenet() -> list[Layer]:
    return [
        nn.Conv2d(1, 20, 5), Tensor.max_pool2d, nn.Conv2d(20, 50, 5), Tensor.max_pool2d, lambda x: x.flatten(1),
        nn.Linear(800, 500), Tensor.relu, nn.Linear(500, 10),
    ]  # fmt: skip


LAYERS = {"mlp": mlp, "lenet": lenet}


def _use(handle: int) -> None:
    """Lets tinygrad see this device alone; by itself it takes the first platform."""
    cl = importlib.import_module("tinygrad.runtime.autogen.opencl")
    device = importlib.import_module("tinygrad.runtime.ops_cl").CLDevice
    device.device_ids = [ctypes.cast(ctypes.c_void_p(handle), cl.cl_device_id)]


def training(order: Order) -> Runner:
    """Steps of SGD with momentum from a batch in host memory. The loss of the last one is read."""
    _use(choose(order.device).handle.int_ptr)
    row = NETS[order.row]
    layers = LAYERS[order.row]()
    optimizer = SGD(nn.state.get_parameters(layers), lr=0.01, momentum=0.9)
    batch = row.examples(order.batch)

    @TinyJit
    def step(given: Tensor, label: Tensor) -> Tensor:
        optimizer.zero_grad()
        loss = given.sequential(layers).sparse_categorical_crossentropy(label).backward()
        optimizer.step()
        return loss.realize()

    def run(steps: int) -> None:
        with Context(TRAINING=1):
            for _ in range(steps):
                loss = step(Tensor(batch[row.given]).realize(), Tensor(batch[row.wanted]).realize())
            loss.item()

    return Runner(run)
