"""Caffe to the language: reads a net layer by layer and writes its text and its weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from graphdl.caffe.functions import LAYERS
from graphdl.caffe.network import (
    DATA,
    Layer,
    UnsupportedLayerError,
    predicting_layers,
    shapes_of_data,
    shapes_of_inputs,
)
from graphdl.caffe.schema import parse_text
from graphdl.caffe.step import Step
from graphdl.caffe.weights import Weights
from graphdl.diagnostics import Diagnostic, ModelError
from graphdl.graph.operator import GraphError
from graphdl.graph.types import TensorType
from graphdl.importing.imported import Imported
from graphdl.importing.names import simple
from graphdl.importing.terms import Term
from graphdl.importing.text import NetText

_UNKNOWN = "this kind of layer is not supported"
_NO_SHAPE = "the file does not say its shape: import the deploy file of the net, which has no layers of data"


def read_files(prototxt: Path, caffemodel: Path | None = None) -> Imported:
    """The net of a ``.prototxt`` file, with the numbers of a ``.caffemodel`` file; without one they are 0.

    Raises:
        ModelError: E0901, the package protobuf is missing; E0905, a file cannot be read, or the two do not fit; E0903,
            layers are not supported: all are named.
    """
    try:
        text = prototxt.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(Diagnostic("E0905", f"{prototxt} cannot be read ({error})")) from error
    net = parse_text(text, str(prototxt))
    reading = _Reading(net, predicting_layers(net), Weights(caffemodel))
    if not reading.layers:
        raise ModelError(Diagnostic("E0905", f"{prototxt} is no Caffe net: it has no layers for a prediction"))
    return reading.imported(net.name or prototxt.stem)


class _Reading:
    """The state of a translation: the values of the blobs so far."""

    def __init__(self, net: Any, layers: Sequence[Layer], weights: Weights) -> None:
        self.layers = [layer for layer in layers if layer.kind not in DATA]
        self.weights = weights
        self.text = NetText()
        self.values: dict[str, Term | None] = {}
        """The last value of each blob; None if it could not be translated: that is told already."""
        self.complaints: list[Diagnostic] = []
        self.batch = 1
        self.scales = _scales(self.layers)
        self.outputs = _outputs(self.layers)
        self._inputs(net, [layer for layer in layers if layer.kind in DATA])

    def imported(self, name: str) -> Imported:
        for number, layer in enumerate(self.layers):
            self._layer(number, layer)
        if self.complaints:
            raise ModelError(*self.complaints)
        if not self.outputs:
            raise ModelError(Diagnostic("E0905", f"the net {name} has no outputs"))
        for blob in self.outputs:
            value = self.values[blob]
            assert value is not None
            self.text.output(blob, value)
        return Imported(*self.text.finished(name))

    def _inputs(self, net: Any, data: Sequence[Layer]) -> None:
        """Declares the inputs that a layer reads. Labels are none."""
        shapes: dict[str, tuple[str, Sequence[int]]] = {
            blob: (f"the input '{blob}'", shape) for blob, shape in shapes_of_inputs(net).items()
        }
        for layer in data:
            found = shapes_of_data(layer)
            for k, top in enumerate(layer.tops):
                shapes[top] = (str(layer), found[k] if k < len(found) else [])
        for blob, (origin, shape) in shapes.items():
            readers = [layer for layer in self.layers if blob in layer.bottoms]
            if not readers:
                continue
            if not shape or min(shape) < 1:
                self.complaints.append(Diagnostic("E0903", f"{origin}: {_NO_SHAPE}"))
                self.values[blob] = None
                continue
            kind = TensorType(tuple(shape[1:]))
            if all(layer.kind == "Embed" for layer in readers):
                words = max(layer.options("embed").input_dim for layer in readers)
                kind = TensorType(tuple(shape[1:]), "int", words)
            self.values[blob] = self.text.input(blob, kind)[1]
            self.batch = shape[0]

    def _layer(self, number: int, layer: Layer) -> None:
        translate = LAYERS.get(layer.kind)
        missing = [blob for blob in layer.bottoms if blob not in self.values]
        inputs = [self.values.get(blob) for blob in layer.bottoms]
        known = [x for x in inputs if x is not None]
        results: list[Term] | None = None
        if translate is None:
            self._complain(layer, _UNKNOWN)
        elif missing:
            self._complain(layer, f"no layer before it makes '{missing[0]}'")
        elif not inputs:
            self._complain(layer, "it reads no blob")
        elif len(known) == len(inputs):
            try:
                # a Scale may be part of the BatchNorm before it
                results = known if layer in self.scales.values() else self._translated(number, layer, known)
            except UnsupportedLayerError as fault:
                self._complain(layer, str(fault))
            except GraphError as error:
                self._complain(layer, error.message)
        for k, top in enumerate(layer.tops):
            self.values[top] = results[k] if results is not None and k < len(results) else None

    def _translated(self, number: int, layer: Layer, inputs: Sequence[Term]) -> list[Term]:
        name = simple(layer.name or layer.kind)
        label = f"{name}_layer" if name in map(simple, self.outputs) else name
        self.text.hint = "t"
        step = Step(layer, inputs, self.text, self.weights, label, self.batch, self.scales.get(layer))
        made = LAYERS[layer.kind](step)
        results = made if isinstance(made, list) else [made]
        if len(results) < len(layer.tops):
            raise UnsupportedLayerError(f"it makes {len(layer.tops)} blobs")
        kept = []
        for top, result in zip(layer.tops, results, strict=False):
            named = len(layer.tops) > 1 or (top in self.outputs and self._last(number, top))
            self.text.hint = simple(top) if named else name
            kept.append(self.text.keep(result)[0])
        return kept

    def _last(self, number: int, blob: str) -> bool:
        return not any(blob in layer.tops for layer in self.layers[number + 1 :])

    def _complain(self, layer: Layer, reason: str) -> None:
        self.complaints.append(Diagnostic("E0903", f"{layer}: {reason}"))


def _outputs(layers: Sequence[Layer]) -> list[str]:
    """The blobs that no layer reads, in the order in which they are made."""
    last = {top: number for number, layer in enumerate(layers) for top in layer.tops}
    read = {blob: number for number, layer in enumerate(layers) for blob in layer.bottoms}
    return sorted((blob for blob, number in last.items() if read.get(blob, -1) <= number), key=last.__getitem__)


def _scales(layers: Sequence[Layer]) -> dict[Layer, Layer]:
    """The Scale of each BatchNorm whose channels it alone reads and multiplies with numbers of its own."""
    found = {}
    for number, layer in enumerate(layers):
        if layer.kind != "BatchNorm" or len(layer.tops) != 1:
            continue
        (blob,) = layer.tops
        readers = []
        for later in layers[number + 1 :]:
            if blob in later.bottoms:
                readers.append(later)
            if blob in later.tops:
                break
        if len(readers) == 1 and readers[0].kind == "Scale" and len(readers[0].bottoms) == 1:
            given = readers[0].options("scale")
            if given.axis == given.num_axes == 1:
                found[layer] = readers[0]
    return found
