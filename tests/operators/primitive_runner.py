"""Runs one primitive on a device, forward and in reverse, as a net that holds nothing else would."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphdl.compiler.build import build
from graphdl.compiler.program import Kernel, Target
from graphdl.compiler.reverse import gradients
from graphdl.diagnostics import DeviceError
from graphdl.graph.types import TensorType
from graphdl.operators import PRIMITIVES, Lowering
from graphdl.operators.random import SEED
from graphdl.operators.reduction import reduce
from graphdl.operators.tensor import Tensor, feed
from graphdl.runtime.build import build as build_kernels
from graphdl.runtime.executor import Executor
from graphdl.runtime.opencl import Device
from graphdl.runtime.variables import VariableStore

KINDS = {np.dtype(np.float32): "float", np.dtype(np.int32): "int", np.dtype(bool): "bool"}


@dataclass(frozen=True)
class Operand:
    """An input: its array (batch first where ``batched``), and for ints how many classes there are."""

    array: np.ndarray
    batched: bool = True
    classes: int | None = None

    @property
    def type(self) -> TensorType:
        shape = self.array.shape[1:] if self.batched else self.array.shape
        return TensorType(shape, KINDS[self.array.dtype], self.classes)


def lowered(name: str, operands: Sequence[Operand], attributes: Mapping[str, Any]) -> list[Tensor]:
    """The operator tensors of the primitive's outputs."""
    primitive = PRIMITIVES[name]
    defaults = {hyper.name: hyper.default for hyper in primitive.hypers}
    settings = {**defaults, **attributes}
    types = tuple(operand.type for operand in operands)
    batch = next((o.array.shape[0] for o in operands if o.batched), 1)
    request = Lowering(
        inputs=tuple(feed(f"x{k}", o.array.shape, o.type.element) for k, o in enumerate(operands)),
        batched=tuple(o.batched for o in operands),
        types=types,
        attributes=settings,
        outputs=tuple(primitive.infer(types, settings)),
        batch=batch,
        key=name,
    )
    outputs = list(primitive.lower(request))
    for tensor, expected in zip(outputs, request.outputs, strict=True):
        batched = any(request.batched) and not primitive.unbatched
        assert tensor.shape == ((batch, *expected.shape) if batched else expected.shape)
        assert tensor.element == expected.element
    return outputs


def execute(
    fetches: Mapping[str, Tensor], feeds: Mapping[str, np.ndarray], device: Device, target: Target | None = None
) -> dict[str, np.ndarray]:
    """Compiles, for the device or for another ``target``, and runs once."""
    program = build(fetches, {}, target or device.target)
    executor = Executor(program, device, VariableStore(device))
    executor.run({name: array for name, array in feeds.items() if name in program.feeds})
    return {name: executor.fetch(name) for name in fetches}


def forward(
    name: str, operands: Sequence[Operand], attributes: Mapping[str, Any], device: Device, seed: int = 0
) -> np.ndarray:
    """The first output."""
    return execute(forward_fetches(name, operands, attributes), _feeds(operands, seed), device)["y"]


def forward_fetches(name: str, operands: Sequence[Operand], attributes: Mapping[str, Any]) -> dict[str, Tensor]:
    """What ``forward`` computes."""
    return {"y": lowered(name, operands, attributes)[0]}


def reverse(
    name: str, operands: Sequence[Operand], attributes: Mapping[str, Any], upstream: np.ndarray, device: Device
) -> list[np.ndarray]:
    """The gradient of ``sum(y * upstream)`` for every float operand."""
    results = reverse_fetches(name, operands, attributes)
    got = execute(results, {**_feeds(operands, 0), "upstream": upstream}, device)
    return [got[f"g{k}"] for k in range(len(results))]


def reverse_fetches(name: str, operands: Sequence[Operand], attributes: Mapping[str, Any]) -> dict[str, Tensor]:
    """What ``reverse`` computes."""
    y = lowered(name, operands, attributes)[0]
    loss = reduce("sum", y * feed("upstream", y.shape), range(y.rank), keep=False)
    wanted = [feed_of(loss, f"x{k}") for k, o in enumerate(operands) if o.type.element == "float"]
    return {f"g{k}": g for k, g in enumerate(gradients(loss, wanted))}


def build_ahead(results: Iterable[Mapping[str, Tensor]], device: Device) -> None:
    """Compiles the kernels of many programs together.

    A driver takes longer for what every OpenCL program needs than for a small kernel. A kernel that does not compile is
    left to the test that runs it.
    """
    kernels: dict[str, Kernel] = {}
    for number, fetches in enumerate(results):
        program = build(fetches, {}, device.target)
        kernels |= {f"{number} {key}": kernel for key, kernel in program.kernels.items()}
    with suppress(DeviceError):
        build_kernels(device, kernels)


def feed_of(result: Tensor, key: str) -> Tensor:
    """The feed of that name that ``result`` is made of."""
    from graphdl.operators.tensor import Feed, topological

    return next(t for t in topological([result]) if isinstance(t.operation, Feed) and t.operation.key == key)


def _feeds(operands: Sequence[Operand], seed: int) -> dict[str, np.ndarray]:
    feeds = {f"x{k}": operand.array for k, operand in enumerate(operands)}
    return {**feeds, SEED: np.array([7, seed], np.int32)}
