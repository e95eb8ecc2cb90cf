"""Random draws, which are those of graphdl, and made for each example."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from graphdl.importing.terms import Term, call
from graphdl.onnx.protocol import kind_of_element
from graphdl.onnx.step import FLOAT, Step
from graphdl.onnx.values import Value, with_element


def _kind(step: Step, default: np.dtype[Any]) -> np.dtype[Any]:
    return kind_of_element(int(step.attribute("dtype"))) if "dtype" in step.attributes else default


def _like(step: Step) -> Value:
    """The tensor that has the shape of the draws."""
    if step.inputs:
        return step.value()
    return Value(call("fill", shape=list(step.attribute("shape")), value=0.0), FLOAT)


def _normal(step: Step) -> Value:
    like = _like(step)
    draws = call("normal_like", like.term)
    scale, mean = float(step.attribute("scale", 1.0)), float(step.attribute("mean", 0.0))
    return like.with_term(_moved(draws, scale, mean), _kind(step, like.kind))


def _uniform(step: Step) -> Value:
    like = _like(step)
    draws = call("uniform_like", like.term)
    low, high = float(step.attribute("low", 0.0)), float(step.attribute("high", 1.0))
    return like.with_term(_moved(draws, high - low, low), _kind(step, like.kind))


def _moved(draws: Term, scale: float, origin: float) -> Term:
    scaled = draws if scale == 1 else draws * scale
    return scaled if origin == 0 else scaled + origin


def _bernoulli(step: Step) -> Value:
    value = step.value()
    kind = _kind(step, value.kind)
    return value.with_term(with_element(call("bernoulli", value.term), kind), kind)


TABLE: dict[str, Callable[[Step], Any]] = {
    "RandomNormal": _normal,
    "RandomNormalLike": _normal,
    "RandomUniform": _uniform,
    "RandomUniformLike": _uniform,
    "Bernoulli": _bernoulli,
}
