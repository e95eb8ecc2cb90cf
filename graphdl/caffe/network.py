"""The layers of a Caffe net that take part in a prediction, in one form for the old and the new files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphdl.importing.names import unused

_OLD_KINDS = {
    "ABSVAL": "AbsVal", "ARGMAX": "ArgMax", "BNLL": "BNLL", "HDF5_DATA": "HDF5Data", "HDF5_OUTPUT": "HDF5Output",
    "IM2COL": "Im2col", "LRN": "LRN", "MVN": "MVN", "RELU": "ReLU", "SOFTMAX_LOSS": "SoftmaxWithLoss", "TANH": "TanH",
}  # fmt: skip
"""New names of old kinds of layers, where they are not the words of the old one with capital letters."""

LOSSES = frozenset([
    "SoftmaxWithLoss", "SigmoidCrossEntropyLoss", "EuclideanLoss", "HingeLoss", "InfogainLoss", "ContrastiveLoss",
    "MultinomialLogisticLoss", "Accuracy", "HDF5Output",
])  # fmt: skip
"""Kinds that measure or store what they read: it becomes an output, and labels are no inputs of the imported net."""
PREDICTIONS = {"SoftmaxWithLoss": "Softmax", "SigmoidCrossEntropyLoss": "Sigmoid"}
"""Losses that contain a function of the prediction: it stays."""
DATA = frozenset([
    "Input", "Data", "AnnotatedData", "ImageData", "WindowData", "HDF5Data", "MemoryData", "DummyData",
])  # fmt: skip


class UnsupportedLayerError(Exception):
    """A layer, or one of its options, has no counterpart in the language."""


@dataclass(frozen=True, eq=False)
class Layer:
    """A layer: its name and kind, the names of the blobs that it reads and makes, and its message with the options."""

    name: str
    kind: str
    bottoms: Sequence[str]
    tops: Sequence[str]
    message: Any
    shared: Sequence[str]
    """Names of its parameters, by which several layers share one; empty for those without a name."""

    def options(self, name: str) -> Any:
        return getattr(self.message, f"{name}_param")

    def __str__(self) -> str:
        return f"layer '{self.name}' ({self.kind})"


def all_layers(net: Any) -> Iterator[Layer]:
    """All layers of a file, whichever of the two forms it has."""
    for message in net.layers:
        field = message.DESCRIPTOR.fields_by_name["type"]
        old = field.enum_type.values_by_number[message.type].name
        kind = _OLD_KINDS.get(old, "".join(word.capitalize() for word in old.split("_")))
        yield Layer(message.name, kind, list(message.bottom), list(message.top), message, list(message.param))
    for message in net.layer:
        shared = [each.name for each in message.param]
        yield Layer(message.name, message.type, list(message.bottom), list(message.top), message, shared)


def predicting_layers(net: Any) -> list[Layer]:
    """The layers of the phase TEST. Losses are replaced by what they contain of the prediction."""
    layers = [layer for layer in all_layers(net) if _included(net.state, layer.message)]
    taken = {top for layer in layers for top in layer.tops}
    result = []
    for layer in layers:
        if layer.kind in PREDICTIONS:
            top = layer.tops[1] if len(layer.tops) > 1 else unused("prob", taken)
            layer = Layer(top, PREDICTIONS[layer.kind], layer.bottoms[:1], [top], layer.message, ())
        if layer.kind not in LOSSES:
            result.append(layer)
    return result


def _included(state: Any, message: Any) -> bool:
    if message.include and not any(_meets(state, rule) for rule in message.include):
        return False
    return not any(_meets(state, rule) for rule in message.exclude)


def _meets(state: Any, rule: Any) -> bool:
    if rule.HasField("phase") and rule.phase != state.phase:
        return False
    if rule.HasField("min_level") and state.level < rule.min_level:
        return False
    if rule.HasField("max_level") and state.level > rule.max_level:
        return False
    stages = set(state.stage)
    return stages.issuperset(rule.stage) and stages.isdisjoint(rule.not_stage)


def shapes_of_data(layer: Layer) -> list[list[int]]:
    """The shapes of the blobs that a layer of data makes, the batch included; fewer or none if it does not say them."""
    if layer.kind == "Input":
        shapes = [list(shape.dim) for shape in layer.options("input").shape]
    elif layer.kind == "MemoryData":
        given = layer.options("memory_data")
        shapes = [[given.batch_size, given.channels, given.height, given.width], [given.batch_size]]
    elif layer.kind == "DummyData":
        given = layer.options("dummy_data")
        shapes = [list(shape.dim) for shape in given.shape]
        fours = zip(given.num, given.channels, given.height, given.width, strict=False)
        shapes = shapes or [list(four) for four in fours]
    else:
        shapes = []
    return shapes * len(layer.tops) if len(shapes) == 1 else shapes


def shapes_of_inputs(net: Any) -> Mapping[str, list[int]]:
    """The inputs that a file lists outside of its layers."""
    four = list(net.input_dim)
    shapes = [list(shape.dim) for shape in net.input_shape] or [four[k : k + 4] for k in range(0, len(four), 4)]
    return dict(zip(net.input, shapes, strict=False)) | {name: [] for name in net.input[len(shapes) :]}


def numbers_of(blob: Any) -> np.ndarray:
    """The numbers of a blob, in one row."""
    if blob.double_data:
        return np.frombuffer(blob.double_data, "<f8").astype(np.float32)
    return np.frombuffer(blob.data, "<f4")
