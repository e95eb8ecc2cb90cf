"""Images in other sizes, and at other places."""

from __future__ import annotations

from collections.abc import Callable
from math import floor
from typing import Any

from graphdl.graph.types import TensorType
from graphdl.importing.terms import Term, argument, call
from graphdl.onnx.step import Step
from graphdl.onnx.values import MixesExamplesError, UnsupportedNodeError, Value

_COORDINATES = ("half_pixel", "pytorch_half_pixel", "half_pixel_symmetric", "align_corners", "asymmetric")


def _resize(step: Step) -> Value:
    """The dimensions of the batch and of the channels keep their lengths, in most models."""
    value = step.value()
    coordinates = str(
        step.attribute("coordinate_transformation_mode", "half_pixel" if step.version > 10 else "asymmetric")
    )
    if coordinates not in _COORDINATES:
        raise UnsupportedNodeError("a crop of a Resize")
    mode = str(step.attribute("mode", "nearest"))
    shape = value.outer(value.term.shape, None if value.batch is not None and not value.merged else 1)
    axes = [int(a) % value.rank for a in step.attribute("axes", range(value.rank))]
    places = (2, 3) if step.version > 10 else (1, 3)
    scales = [float(n) for n in step.constant(places[0])] if step.has(places[0]) else []
    sizes = [int(n) for n in step.constant(places[1])] if step.has(places[1]) else []
    if sizes:
        lengths = [shape[a] for a in axes]
        policy = str(step.attribute("keep_aspect_ratio_policy", "stretch"))
        scales = [1.0 if length is None else n / length for n, length in zip(sizes, lengths, strict=True)]
        if policy != "stretch":
            one = min(scales) if policy == "not_larger" else max(scales)
            scales = [one] * len(scales)
            sizes = [floor(one * length + 0.5) if length else n for n, length in zip(sizes, lengths, strict=True)]
    wanted: dict[int, tuple[int | None, float]] = {}
    for k, axis in enumerate(axes):
        if scales[k] != 1 and axis == value.batch:
            raise MixesExamplesError
        if axis != value.batch:
            wanted[value.axis(axis)] = (sizes[k] if sizes else None, scales[k])
    uneven = [s for a, s in zip(axes, scales, strict=True) if a != value.batch and (s * (shape[a] or 1)) % 1]
    if coordinates == "align_corners" and uneven and not sizes:
        raise UnsupportedNodeError("align_corners with a scale that gives no whole length")
    first = min((axis for axis, (_, scale) in wanted.items() if scale != 1), default=None)
    if first is None:
        return value
    chosen = [wanted.get(axis, (None, 1.0)) for axis in range(first, value.term.rank)]
    given: dict[str, Any] = {"mode": mode}
    if sizes:
        lasting = value.term.shape[first:]
        given["size"] = [n if size is None else size for (size, _), n in zip(chosen, lasting, strict=True)]
    if not sizes or len({scale for _, scale in chosen}) == 1:
        given["scale"] = [int(scale) if scale == int(scale) else scale for _, scale in chosen]
    if mode == "nearest":
        given["rounding"] = str(step.attribute("nearest_mode", "round_prefer_floor" if step.version > 10 else "floor"))
    given["coordinates"] = coordinates
    if mode == "cubic":
        given["cubic"] = float(step.attribute("cubic_coeff_a", -0.75))
    given |= {name: True for name in ("antialias", "exclude_outside") if step.attribute(name, 0)}
    return value.with_term(call("resize", value.term, **given))


def _upsample(step: Step) -> Value:
    value = step.value()
    scales = [float(n) for n in (step.constant(1) if step.has(1) else step.attribute("scales"))]
    mode = str(step.attribute("mode", "nearest"))
    inner = {value.axis(axis): scale for axis, scale in enumerate(scales) if axis != value.batch}
    chosen = [inner[axis] for axis in sorted(inner)]
    given = [int(scale) if scale == int(scale) else scale for scale in chosen]
    return value.with_term(call("resize", value.term, mode=mode, scale=given, coordinates="asymmetric"))


def _grid_sample(step: Step) -> Value:
    value, grid = step.value(0), step.value(1)
    if (value.batch, grid.batch) != (0, 0) or value.merged or grid.merged:
        raise MixesExamplesError
    mode = {"bilinear": "linear", "bicubic": "cubic"}.get(str(step.attribute("mode", "linear")))
    given = {
        "mode": mode or str(step.attribute("mode", "linear")),
        "padding": str(step.attribute("padding_mode", "zeros")),
        "align_corners": bool(step.attribute("align_corners", 0)),
    }
    defaults = {"mode": "linear", "padding": "zeros", "align_corners": False}
    listed = "".join(f", {name} = {argument(text)}" for name, text in given.items() if text != defaults[name])
    shape = (value.term.shape[0], *grid.term.shape[:-1])
    return value.with_term(Term(f"grid_sample({value.term.text}, {grid.term.text}{listed})", TensorType(shape)))


TABLE: dict[str, Callable[[Step], Any]] = {
    "Resize": _resize,
    "Upsample": _upsample,
    "GridSample": _grid_sample,
}
