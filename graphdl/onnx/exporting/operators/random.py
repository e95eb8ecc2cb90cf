"""Random draws: those of the runtime, which are other numbers than graphdl draws."""

from __future__ import annotations

from collections.abc import Callable

from graphdl.onnx.exporting.step import Step

_FLOAT = 1
"""ONNX's number of the element type."""


def _like(operator: str) -> Callable[[Step], str]:
    return lambda step: step.op(operator, step.for_each(step.inputs[0], "float"), dtype=_FLOAT)


def _bernoulli(step: Step) -> str:
    """Not the node ``Bernoulli``: by the body that ONNX gives for it, ones have the probability of zeros."""
    p = step.for_each(step.inputs[0], "float")
    return step.cast(step.op("Less", step.op("RandomUniformLike", p, dtype=_FLOAT), p), "bool", "float")


TABLE = {
    "uniform_like": _like("RandomUniformLike"),
    "normal_like": _like("RandomNormalLike"),
    "bernoulli": _bernoulli,
}
