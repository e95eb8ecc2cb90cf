"""Times the hand-written kernels beside PyTorch's on the CPU, both with two threads, in turn within one run.

    python tools/bench/kernels.py [part of a row's name ...] [--device portable] [--per-core]

A row gives the best GFLOP/s of both, the median of the ratios of neighbouring measurements (above 1, this project is
faster), and its median share of the peak. The peak is a loop of nothing but multiply-adds, measured in turn with the
kernel, because the speed of a machine changes from minute to minute. On a busy machine PyTorch's threads, which wait
for each other at every turn, suffer more than OpenCL's: then ``--per-core`` counts processor time, PyTorch's with one
thread, and gives GFLOP/s of a core, whatever else runs. It says nothing of how evenly a kernel loads two cores. Packing
the filters is part of the convolutions' time, and GFLOP/s count the direct method's operations. ``results/kernels.md``
keeps what was found.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.functional import conv2d
from torch.nn.grad import conv2d_input, conv2d_weight

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "operators")]

import kernel_runner as kr  # noqa: E402

from graphdl.operators.kernels.convolution import CONVOLUTION, INPUT_GRADIENT  # noqa: E402
from graphdl.operators.kernels.depthwise import DEPTHWISE, DEPTHWISE_INPUT, DEPTHWISE_WEIGHT  # noqa: E402
from graphdl.operators.kernels.family import predicted  # noqa: E402
from graphdl.operators.kernels.geometry import ConvolutionProblem  # noqa: E402
from graphdl.operators.kernels.weight_gradient import WEIGHT_GRADIENT  # noqa: E402
from graphdl.runtime.alone import Alone, upload  # noqa: E402
from graphdl.runtime.devices import open_device  # noqa: E402
from graphdl.runtime.peak import multiply_adds  # noqa: E402

SECONDS = 0.03
"""Of one measurement, at least."""
PAUSE = 0.02
"""Seconds between measurements: PyTorch's threads go on waiting for work for a moment, and would take a core."""
ROUNDS = 9

MATMULS = {
    "mlp 1": (64, 512, 784),
    "mlp 2": (64, 512, 512),
    "mlp 3": (64, 10, 512),
    "lenet linear": (64, 500, 800),
    "resnet linear": (256, 1000, 4096),
    "square": (1024, 1024, 1024),
    "square 512": (512, 512, 512),
    "square 1536": (1536, 1536, 1536),
    "square 2048": (2048, 2048, 2048),
    "odd 511x513x509": (511, 513, 509),
    "odd 1000x37x333": (1000, 37, 333),
    "odd 65x2049x1023": (65, 2049, 1023),
    "batch 1": (1, 1000, 2048),
}
"""m, n, k of the forward product; the gradients follow."""

CONVOLUTIONS: dict[str, tuple[int, int, int, int, int, int, int]] = {
    "lenet 1": (64, 1, 28, 20, 5, 1, 0),
    "lenet 2": (64, 20, 12, 50, 5, 1, 0),
    "resnet-20 stem": (128, 3, 32, 16, 3, 1, 1),
    "resnet-20 16": (128, 16, 32, 16, 3, 1, 1),
    "resnet-20 32": (128, 32, 16, 32, 3, 1, 1),
    "resnet-20 64": (128, 64, 8, 64, 3, 1, 1),
    "resnet-20 16-32 /2": (128, 16, 32, 32, 3, 2, 1),
    "resnet-50 stem": (4, 3, 224, 64, 7, 2, 3),
    "resnet-50 64 3x3": (4, 64, 56, 64, 3, 1, 1),
    "resnet-50 64-256 1x1": (4, 64, 56, 256, 1, 1, 0),
    "resnet-50 128 3x3": (4, 128, 28, 128, 3, 1, 1),
    "resnet-50 256 3x3": (4, 256, 14, 256, 3, 1, 1),
    "resnet-50 1024-256 1x1": (4, 1024, 14, 256, 1, 1, 0),
    "resnet-50 512-2048 1x1": (4, 512, 7, 2048, 1, 1, 0),
    "resnet-50 512 3x3": (4, 512, 7, 512, 3, 1, 1),
    "resnet-50 512-1024 1x1 /2": (4, 512, 28, 1024, 1, 2, 0),
    "vgg 64 224": (4, 64, 224, 64, 3, 1, 1),
    "vgg 128-256 56": (4, 128, 56, 256, 3, 1, 1),
    "vgg 512 28": (4, 512, 28, 512, 3, 1, 1),
}
"""batch, channels, height and width, filters, kernel, stride, padding. This project's data are padded beforehand."""

DEPTHWISES: dict[str, tuple[int, int, int, int]] = {
    "32 112": (8, 32, 112, 1),
    "96 112 /2": (8, 96, 112, 2),
    "144 56": (8, 144, 56, 1),
    "192 28": (8, 192, 28, 1),
    "384 14": (8, 384, 14, 1),
    "576 14 /2": (8, 576, 14, 2),
    "960 7": (8, 960, 7, 1),
}
"""batch, channels, height and width, stride of MobileNetV2's layers of 3x3 with a padding of 1, which nobody stores."""

Row = tuple[str, int, Callable[[], None], Callable[[], object]]
"""Name, flops, ours (enqueues), PyTorch's."""


def ours(device: kr.Device, kernel: kr.Kernel, store: str, size: int, *operands: np.ndarray) -> Callable[[], None]:
    """Enqueues a call, its packing first."""
    buffers = [upload(device, operand) for operand in operands]
    runners = []
    if kernel.pack is not None:
        packed = upload(device, np.zeros(kernel.packed_size))
        packer = Alone(device, kernel.pack, kr.PACK_STORE)
        packer.bind(buffers[-1], packed)
        runners.append(packer)
        buffers[-1] = packed
    runner = Alone(device, kernel.call, store)
    runner.bind(*buffers, upload(device, np.zeros(size)))
    runners.append(runner)

    def enqueue() -> None:
        for one in runners:
            one.enqueue()

    return enqueue


def draw(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape, np.float32)


def matmul_rows(device: kr.Device, name: str, m: int, n: int, k: int) -> Iterator[Row]:
    """Forward x w, the gradients dy wᵀ and xᵀ dy."""
    forms = {
        "forward": (m, n, k, (k, 1), (n, 1)),
        "input": (m, k, n, (n, 1), (1, n)),
        "weight": (k, n, m, (1, k), (n, 1)),
    }
    for form, (rows, columns, depth, a_strides, b_strides) in forms.items():
        kernel = kr.matmul(
            device.target, batch=1, m=rows, n=columns, k=depth, a_strides=(0, *a_strides), b_strides=(0, *b_strides)
        )
        a, b = draw(rows * depth), draw(depth * columns)
        first = torch.as_strided(torch.from_numpy(a), (rows, depth), a_strides)
        second = torch.as_strided(torch.from_numpy(b), (depth, columns), b_strides)
        out = torch.empty(rows, columns)
        yield (
            f"matmul {name} {form} {rows}x{columns}x{depth}",
            kernel.call.flops,
            ours(device, kernel, kr.matmul_store(rows, columns), rows * columns, a, b),
            lambda x=first, y=second, z=out: torch.mm(x, y, out=z),
        )


def convolution_rows(
    device: kr.Device, name: str, n: int, c: int, size: int, o: int, k: int, s: int, pad: int
) -> Iterator[Row]:
    padding = ((pad, pad), (pad, pad))
    problem: dict[str, Any] = {
        "batch": n, "channels": c, "height": size + 2 * pad, "width": size + 2 * pad, "filters": o, "kernel": (k, k),
        "stride": (s, s), "dilation": (1, 1), "groups": 1,
    }  # fmt: skip
    out = (size + 2 * pad - k) // s + 1
    x, w, g = torch.randn(n, c, size, size), torch.randn(o, c, k, k), torch.randn(n, o, out, out)
    x_last = np.pad(x.permute(0, 2, 3, 1).numpy(), ((0, 0), *padding, (0, 0)))
    g_last = g.permute(0, 2, 3, 1).contiguous().numpy()

    kernel = kr.chosen(CONVOLUTION, device.target, **problem, padding=padding)
    yield (
        f"conv {name} forward",
        kernel.call.flops,
        ours(device, kernel, kr.image_store((n, out, out, o)), g.numel(), x_last, w.numpy()),
        lambda: torch.nn.functional.conv2d(x, w, stride=s, padding=pad),
    )
    kernel = kr.chosen(WEIGHT_GRADIENT, device.target, **problem)
    yield (
        f"conv {name} weight",
        kernel.call.flops,
        ours(device, kernel, kr.weight_store(w.shape), kernel.splits * w.numel(), x_last, g_last),
        lambda: conv2d_weight(x, w.shape, g, stride=s, padding=pad),
    )
    if c > 3:
        kernel = kr.chosen(INPUT_GRADIENT, device.target, **problem, padding=padding)
        padded = np.pad(g_last, ((0, 0), *kernel.pad_gradient, (0, 0)))
        yield (
            f"conv {name} input",
            kernel.call.flops,
            ours(device, kernel, kr.image_store((n, size, size, c)), x.numel(), padded, w.numpy()),
            lambda: conv2d_input(x.shape, w, g, stride=s, padding=pad),
        )


def depthwise_rows(device: kr.Device, name: str, n: int, c: int, size: int, s: int) -> Iterator[Row]:
    """PyTorch's data lie channels last, too: it is faster so."""
    problem = ConvolutionProblem(
        n, c, size + 2, size + 2, c, (3, 3), (s, s), (1, 1), c, padding=((1, 1), (1, 1))
    )  # fmt: skip
    out = problem.output[0]
    x, w, g = (
        torch.randn(*shape).to(memory_format=torch.channels_last)
        for shape in ((n, c, size, size), (c, 1, 3, 3), (n, c, out, out))
    )
    x_last, g_last = (each.permute(0, 2, 3, 1).numpy() for each in (x, g))
    filters = w.contiguous().numpy()
    image, gradient = kr.image_store((n, size, size, c)), kr.image_store((n, out, out, c))
    setting: dict[str, Any] = {"stride": s, "padding": 1, "groups": c}
    forms: list[tuple[str, Any, str, int, tuple[np.ndarray, ...], Callable[[], object]]] = [
        ("forward", DEPTHWISE, gradient, g.numel(), (x_last, filters), lambda: conv2d(x, w, **setting)),
        ("input", DEPTHWISE_INPUT, image, x.numel(), (g_last, filters), lambda: conv2d_input(x.shape, w, g, **setting)),
    ]
    for form, family, store, elements, operands, peer in forms:
        call = family.call(problem, predicted(family, problem, device.target), device.target)
        yield f"depthwise {name} {form}", call.flops, ours(device, kr.Kernel(call), store, elements, *operands), peer
    splits = predicted(DEPTHWISE_WEIGHT, problem, device.target)
    call = DEPTHWISE_WEIGHT.call(problem, splits, device.target)
    yield (
        f"depthwise {name} weight",
        call.flops,
        ours(device, kr.Kernel(call), kr.weight_store((c, 1, 3, 3)), splits * w.numel(), x_last, g_last),
        lambda: conv2d_weight(x, w.shape, g, **setting),
    )


def measure(device: kr.Device, row: Row, clock: Callable[[], float]) -> tuple[float, float, float, float]:
    """The best GFLOP/s of both, the median ratio of PyTorch's time to ours, and our median share of the peak."""
    _, flops, enqueue, peer = row
    multiply, operations = multiply_adds(device)

    def enqueued(launch: Callable[[], object], times: int) -> float:
        start = clock()
        for _ in range(times):
            launch()
        device.queue.finish()
        return (clock() - start) / times

    def called(times: int) -> float:
        start = clock()
        for _ in range(times):
            peer()
        return (clock() - start) / times

    turns = (partial(enqueued, enqueue), called, partial(enqueued, multiply))
    repeats = []
    for turn in turns:
        turn(2)
        repeats.append(max(1, int(SECONDS / turn(2))))
    rounds = []
    for _ in range(ROUNDS):
        times = []
        for turn, count in zip(turns, repeats, strict=True):
            time.sleep(PAUSE)
            times.append(turn(count))
        rounds.append(times)
    ours, theirs, _ = (min(column) for column in zip(*rounds, strict=True))
    ratio = statistics.median(peer_time / our_time for our_time, peer_time, _ in rounds)
    share = statistics.median(flops / our_time / (operations / peak_time) for our_time, _, peak_time in rounds)
    return flops / ours / 1e9, flops / theirs / 1e9, ratio, share


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", help="measure only the rows whose name holds one of these")
    parser.add_argument("--device", default="portable", help="as graphdl train's")
    parser.add_argument("--per-core", action="store_true", help="count processor time, PyTorch's with one thread")
    arguments = parser.parse_args()
    torch.set_num_threads(1 if arguments.per_core else 2)
    clock = time.process_time if arguments.per_core else time.perf_counter
    device = open_device(arguments.device)
    print(device.queue.device.name)
    print("| | ours, GFLOP/s | PyTorch, GFLOP/s | ratio | of the peak |\n|" + " --- |" * 5)

    def rows() -> Iterator[Row]:
        for name, (m, n, k) in MATMULS.items():
            yield from matmul_rows(device, name, m, n, k)
        for name, sizes in CONVOLUTIONS.items():
            yield from convolution_rows(device, name, *sizes)
        for name, layer in DEPTHWISES.items():
            yield from depthwise_rows(device, name, *layer)

    for row in rows():
        if not arguments.parts or any(part in row[0] for part in arguments.parts):
            mine, theirs, ratio, share = measure(device, row, clock)
            print(f"| {row[0]} | {mine:.0f} | {theirs:.0f} | {ratio:.2f} | {share:.0%} |", flush=True)


if __name__ == "__main__":
    main()
