"""Random draws: functions of the run's seed, the step, the node and the position of the element.

The generator is Philox-2x32 with ten rounds (Salmon et al., Parallel random numbers: as easy as 1, 2, 3, 2011).
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graphdl.graph.types import Shape, TensorType
from graphdl.operators.elementwise import FunctionCall, apply, cast
from graphdl.operators.gaussian import box_muller
from graphdl.operators.index import Index
from graphdl.operators.primitive import Lowering, Primitive
from graphdl.operators.structure import flat
from graphdl.operators.tensor import Elementwise, Generator, Tensor, feed

SEED = "random.seed"
"""The feed of programs with random draws: two ints, the run's seed and the step."""

ROUNDS = 10


@dataclass(frozen=True)
class Uniform(Generator):
    """Uniform draws from [0, 1) of 24 bits. ``key`` distinguishes the nodes.

    The inputs are the run's seed, the training step and, in a scan, the number of the scan's step.
    """

    key: int
    shape: Shape
    unsigned = True
    cost = 60

    def typed(self, y: Tensor) -> bool:
        return y.element == "float"

    def position(self, y: Tensor, index: Sequence[Index]) -> Index:
        return flat(index, self.shape)

    def functions(self, width: int) -> Mapping[str, str]:
        return {f"philox{width}": philox_source(width)}

    def code(self, position: str, operands: Sequence[str], width: int) -> str:
        kind = f"uint{width if width > 1 else ''}"
        seed, step, *scanned = operands
        key = f"(uint)({seed}) ^ {self.key}u"
        if scanned:  # The factor is odd, so no two steps have the same key.
            key = f"({key}) + (uint)({scanned[0]}) * 0x85EBCA6Bu"
        return (
            f"(convert_float{width if width > 1 else ''}(philox{width}(({kind})({position}), ({kind})({step}), "
            f"({kind})({key})) >> 8) * 5.9604644775390625e-8f)"
        )


def uniform(shape: Shape, key: str, scanned: Tensor | None = None) -> Tensor:
    """Uniform draws of ``shape``. They depend only on the seed, the training step, ``key`` and the number of a scan's
    step.
    """
    from graphdl.operators.structure import reshape, slice_

    seeds = feed(SEED, (2,), "int")
    seed, step = (reshape(slice_(seeds, (k,), (1,), (1,)), ()) for k in (0, 1))
    inputs = (seed, step) if scanned is None else (seed, step, scanned)
    return Tensor(Uniform(zlib.crc32(key.encode()), shape), inputs, shape)


def philox_source(width: int) -> str:
    """The C function ``philox<width>(position, step, key)`` that returns 32 random bits."""
    kind = f"uint{width if width > 1 else ''}"
    return (
        f"inline {kind} philox{width}({kind} a, {kind} b, {kind} key) {{\n"
        f"  for (int round = 0; round < {ROUNDS}; ++round) {{\n"
        f"    const {kind} high = mul_hi(a, ({kind})(0xD256D193u)), low = a * 0xD256D193u;\n"
        "    a = high ^ key ^ b; b = low; key += 0x9E3779B9u;\n"
        "  }\n"
        "  return a;\n"
        "}\n"
    )


def _drawn(node: Lowering, suffix: str = "") -> Tensor:
    """Separate draws for every example, even if the operand is the same for all."""
    return uniform((node.batch, *node.types[0].shape), node.key + suffix, node.step)


def _lower_bernoulli(node: Lowering) -> Sequence[Tensor]:
    return (cast(apply("less", _drawn(node), node.inputs[0]), "float"),)


_BOX_MULLER = FunctionCall(box_muller)
_NORMAL = Elementwise("box_muller", _BOX_MULLER, None, cost=40, called=_BOX_MULLER.text)


def _lower_normal(node: Lowering) -> Sequence[Tensor]:
    """The Box-Muller transform of two uniform draws."""
    radius, angle = _drawn(node, "/radius"), _drawn(node, "/angle")
    return (Tensor(_NORMAL, (radius, angle), radius.shape),)


def _infer(types: Sequence[TensorType], attributes: Mapping[str, Any]) -> Sequence[TensorType]:
    return (TensorType(types[0].shape),)


CATEGORY = "Chance"

PRIMITIVES: tuple[Primitive, ...] = (
    Primitive(
        "bernoulli", ("p",), _infer, _lower_bernoulli, random=True, flat=True,
        documentation="1 with probability p, else 0, drawn anew for each element and step.",
    ),
    Primitive(
        "uniform_like", ("x",), _infer, lambda node: (_drawn(node),), random=True, flat=True,
        documentation="Uniform draws from 0 to 1, shaped as x.",
    ),
    Primitive(
        "normal_like", ("x",), _infer, _lower_normal, random=True, flat=True,
        documentation="Standard normal draws, shaped as x.",
    ),
)  # fmt: skip
