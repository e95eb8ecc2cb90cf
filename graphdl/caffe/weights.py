"""The numbers of a ``.caffemodel`` file, by the names of the layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path

import numpy as np

from graphdl.caffe.network import Layer, all_layers, numbers_of
from graphdl.caffe.schema import parse_bytes
from graphdl.diagnostics import Diagnostic, ModelError


class Weights:
    """Gives each layer its parameters. Without a file they are 0."""

    def __init__(self, path: Path | None) -> None:
        """Reads a file.

        Raises:
            ModelError: E0905, it cannot be read, or is no ``.caffemodel`` file.
        """
        self.path = path
        self._blobs: Mapping[str, Sequence[np.ndarray]] = {}
        self._shared: dict[tuple[str, bool], np.ndarray] = {}
        if path is not None:
            try:
                data = path.read_bytes()
                layers = list(all_layers(parse_bytes(data, str(path))))
                self._blobs = {layer.name: [numbers_of(blob) for blob in layer.message.blobs] for layer in layers}
            except (OSError, ValueError) as error:
                raise ModelError(Diagnostic("E0905", f"{path} cannot be read ({error})")) from error
            if not any(self._blobs.values()):
                raise ModelError(Diagnostic("E0905", f"{path} has no weights of Caffe"))

    def take(self, layer: Layer, index: int, shape: Sequence[int], *, turned: bool = False) -> np.ndarray:
        """Parameter ``index`` of a layer with this shape; if ``turned``, the transpose of that matrix.

        Old files pad shapes to four dimensions: only the number of elements must fit. Layers whose parameters have the
        same name get the same array.

        Raises:
            ModelError: E0905, the file has no such parameter, or one of another size.
        """
        name = layer.shared[index] if index < len(layer.shared) else ""
        if (name, turned) in self._shared and self._shared[name, turned].size == prod(shape):
            return self._shared[name, turned]
        array = self._found(layer, index, shape).reshape(shape)
        if turned:
            array = np.ascontiguousarray(array.T)
        if name:
            self._shared[name, turned] = array
        return array

    def _found(self, layer: Layer, index: int, shape: Sequence[int]) -> np.ndarray:
        if self.path is None:
            return np.zeros(shape, np.float32)
        blobs = self._blobs.get(layer.name, ())
        if index >= len(blobs):
            reason = f"{self.path} has {len(blobs)} blobs for the {layer}, which needs blob {index} of the shape"
            raise ModelError(Diagnostic("E0905", f"{reason} {list(shape)}"))
        if blobs[index].size != prod(shape):
            reason = f"blob {index} of the {layer} has {blobs[index].size} numbers in {self.path}"
            raise ModelError(Diagnostic("E0905", f"{reason}, and the net needs the shape {list(shape)}"))
        return blobs[index]
