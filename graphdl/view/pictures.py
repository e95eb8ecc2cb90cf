"""Images of what a convnet has learnt: its filters, its feature maps, and the inputs that excite its units.

The parts of images that excite a unit are found as in Zeiler and Fergus (2013) and Zhou et al. (2015): the examples
with the greatest activation, cropped to the region on which that activation depends. Activation maximization follows
the gradient of a unit from a flat grey image (Erhan et al., 2009).
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from graphdl.compiler.lowering import lower
from graphdl.compiler.reverse import gradients
from graphdl.diagnostics import Diagnostic, ModelError
from graphdl.graph.digraph import modules
from graphdl.graph.model import Module, Value
from graphdl.operators.random import SEED
from graphdl.operators.reduction import reduce
from graphdl.operators.tensor import feed
from graphdl.runtime import Executor
from graphdl.suggest import did_you_mean
from graphdl.training import inference
from graphdl.training.samples import sample
from graphdl.training.stages import Overrides
from graphdl.view.raster import photograph

if TYPE_CHECKING:
    from graphdl.model import Model

_MOST_FILTERS = 64
_MOST_MAPS = 16
_MOST_MODULES = 16
_MOST_UNITS = 12
_EXAMPLES = 1024
_BATCH = 64
_TOP = 9
_STEPS = 120
_RATE = 0.08
_DECAY = 0.01
_MASK = "view.mask"
_SCORE = "view.score"


def filters(model: Model) -> list[dict[str, Any]]:
    """The filters of the first convolution, and the first input channels of later ones."""
    groups: list[dict[str, Any]] = []
    for path, variable in model.module_graph.parameters.items():
        if variable.type.rank != 4 or variable.type.shape[2] < 2 or len(groups) == 3:
            continue
        weights = model.parameters[path][:_MOST_FILTERS]
        shown = weights if weights.shape[1] == 3 else weights[:, :1]
        channels = "in colour" if weights.shape[1] == 3 else "the first input channel" if weights.shape[1] > 1 else ""
        groups.append(
            {
                "title": f"Filters of {path}",
                "text": f"{variable.type}, " + (channels or "each scaled from its least to its greatest weight"),
                "images": [{"data": picture(each), "label": str(k)} for k, each in enumerate(shown)],
                "size": 56,
            }
        )
    return groups


def feature_maps(model: Model, arrays: Mapping[str, np.ndarray], name: str) -> list[dict[str, Any]]:
    """The first channels of each module's output for one input."""
    graph = model.module_graph
    wanted = [module for module in _shown(graph.root) if module.outputs and module.outputs[0].type.rank == 3]
    wanted = [module for module in wanted if min(module.outputs[0].type.shape[1:]) > 1][:_MOST_MODULES]
    lowered = lower(graph, 1, unrolled=True)
    program = model.network.compiled({module.path: lowered.values[module.outputs[0]] for module in wanted})
    one = {key: array[:1] for key, array in arrays.items()}
    found = inference.run_once(model.network, program, one, training=False)
    groups = [
        {
            "title": f"The input: {name}",
            "text": "as the net is given it",
            "images": [{"data": picture(array[0]), "label": key} for key, array in one.items() if array[0].ndim == 3],
            "size": 140,
        }
    ]
    for module in wanted:
        maps = found[module.path][0]
        groups.append(
            {
                "title": f"{module.kind} {module.path}",
                "text": f"{module.outputs[0].type}: the first {min(_MOST_MAPS, len(maps))} channels, scaled one by one",
                "images": [{"data": picture(each[None]), "label": str(k)} for k, each in enumerate(maps[:_MOST_MAPS])],
                "size": 76,
            }
        )
    return groups


def units(
    model: Model, path: str, overrides: Overrides, *, root: Path | None = None, origin: Path | None = None
) -> list[dict[str, Any]]:
    """For the first units of a module: the examples that excite each most, cropped to the region that it sees, and its
    ideal.

    Raises:
        ModelError: E0623, there is no such module, or the net has no image input.
    """
    looking = _Looking(model, path)
    taken = sample(model.network, _EXAMPLES, overrides, root=root, origin=origin, known=model.known)
    scores, places = looking.scan(taken.arrays)
    groups = []
    ideals = looking.ideals(min(_MOST_UNITS, scores.shape[1]))
    for unit in range(min(_MOST_UNITS, scores.shape[1])):
        best = np.argsort(-scores[:, unit], kind="stable")[:_TOP]
        cut = looking.patches(taken.arrays, best, unit, places[best, unit])
        images = [{"data": picture(ideals[unit]), "label": "ideal"}]
        images += [
            {"data": picture(patch), "label": f"{scores[example, unit]:.3g}", "ratio": patch.shape[2] / patch.shape[1]}
            for example, patch in zip(best, cut, strict=True)
        ]
        groups.append(
            {
                "title": f"{path}, unit {unit}",
                "text": "left, what excites it most (activation maximization); then the parts of "
                f"{taken.origin} that do, with the activation",
                "images": images,
                "size": 84,
            }
        )
    return groups


class _Looking:
    """Programs that compute the activations of one module's units, and their gradients with respect to the image."""

    def __init__(self, model: Model, path: str) -> None:
        self.network = model.network
        graph = model.module_graph
        named = {module.path: module for module in modules(graph.root)}
        self.value = self._output(named, path)
        pictures = [name for name, v in graph.inputs.items() if v.type.rank == 3 and v.type.element == "float"]
        if not pictures:
            raise ModelError(Diagnostic("E0623", f"the net '{graph.name}' has no input that is a picture"))
        self.image = pictures[0]
        lowered = lower(graph, _BATCH, unrolled=True)
        self.activation = lowered.values[self.value]
        score = self.activation * feed(_MASK, self.activation.shape)
        total = reduce("sum", score, range(score.rank), keep=False)
        (slope,) = gradients(total, [lowered.values[graph.inputs[self.image]]])
        self._forward = self._executor(self.network.compiled({_SCORE: self.activation}))
        self._backward = self._executor(self.network.compiled({_SCORE: slope}))

    @staticmethod
    def _output(named: Mapping[str, Module], path: str) -> Value:
        if path not in named or not named[path].outputs:
            raise ModelError(
                Diagnostic("E0623", f"the net has no module '{path}'", help=did_you_mean(path, [p for p in named if p]))
            )
        return named[path].outputs[0]

    def _executor(self, program: Any) -> Executor:
        return Executor(program, self.network.device, self.network.store)

    def _run(self, executor: Executor, arrays: Mapping[str, Any]) -> np.ndarray:
        fed = {name: array for name, array in arrays.items() if name in executor.program.feeds}
        if SEED in executor.program.feeds:
            fed[SEED] = np.array([self.network.seed, 0], np.int32)
        executor.run(fed)
        return executor.fetch(_SCORE)

    def scan(self, arrays: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """The greatest activation of every example and unit, and its position, ``[examples, units]`` each."""
        scores, places = [], []
        count = len(arrays[self.image])
        for first in range(0, count, _BATCH):
            found = self._run(self._forward, {name: _filled(a[first : first + _BATCH]) for name, a in arrays.items()})
            flat = found.reshape(_BATCH, found.shape[1], -1)[: count - first]
            scores.append(flat.max(axis=2))
            places.append(flat.argmax(axis=2))
        return np.concatenate(scores), np.concatenate(places)

    def slope(self, images: np.ndarray, arrays: Mapping[str, np.ndarray], mask: np.ndarray) -> np.ndarray:
        """d (masked activations) / d image."""
        others = {name: _filled(array[:_BATCH]) for name, array in arrays.items() if name != self.image}
        return self._run(self._backward, {**others, self.image: images, _MASK: mask})

    def patches(
        self, arrays: Mapping[str, np.ndarray], examples: np.ndarray, unit: int, places: np.ndarray
    ) -> list[np.ndarray]:
        """The region of each image on which the unit's activation depends, according to its gradient."""
        images = _filled(arrays[self.image][examples])
        mask = np.zeros((_BATCH, *self.value.type.shape), np.float32)
        flat = mask.reshape(_BATCH, self.value.type.shape[0], -1)
        flat[np.arange(len(examples)), unit, places] = 1
        slope = self.slope(images, arrays, mask)
        return [_cut(image, np.abs(g).max(axis=0)) for image, g in zip(images, slope[: len(examples)], strict=False)]

    def ideals(self, count: int) -> np.ndarray:
        """An image for each of the first units that excites it, by gradient ascent with decay: ``[count, c, h, w]``."""
        shape = self.network.inference.inputs[self.image].type.shape
        random = np.random.default_rng(0)
        images = 0.5 + 0.05 * random.standard_normal((_BATCH, *shape)).astype(np.float32)
        mask = np.zeros((_BATCH, *self.value.type.shape), np.float32)
        mask.reshape(_BATCH, self.value.type.shape[0], -1)[np.arange(count), np.arange(count), :] = 1
        others = {
            name: np.zeros((1, *value.type.shape), np.float32 if value.type.element == "float" else np.int32)
            for name, value in self.network.inference.inputs.items()
        }
        for _ in range(_STEPS):
            slope = self.slope(images, others, mask)
            scale = np.sqrt(np.mean(slope**2, axis=(1, 2, 3), keepdims=True)) + 1e-12
            images = images + _RATE * slope / scale - _DECAY * (images - 0.5)
            images = _softened(images)
        return images[:count]


def _softened(images: np.ndarray) -> np.ndarray:
    """A slight blur, which removes the checkerboards that gradient ascent leaves."""
    padded = np.pad(images, ((0, 0), (0, 0), (1, 1), (1, 1)), mode="edge")
    around = padded[:, :, :-2, 1:-1] + padded[:, :, 2:, 1:-1] + padded[:, :, 1:-1, :-2] + padded[:, :, 1:-1, 2:]
    return np.ascontiguousarray(0.92 * images + 0.02 * around, np.float32)


def _cut(image: np.ndarray, weight: np.ndarray) -> np.ndarray:
    rows, columns = np.flatnonzero(weight.max(axis=1) > 0), np.flatnonzero(weight.max(axis=0) > 0)
    if not len(rows):
        return image
    return image[:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _filled(part: np.ndarray) -> np.ndarray:
    """A batch of the programs' size. The last example is repeated."""
    missing = _BATCH - len(part)
    return part if missing <= 0 else np.concatenate([part, np.repeat(part[-1:], missing, axis=0)])


def _shown(module: Module) -> Sequence[Module]:
    """The modules that the user's text applies, in order."""
    return [m for m in modules(module) if m.parent is not None and not m.span.in_library]


def picture(values: np.ndarray) -> str:
    """An image ``[1 or 3, height, width]`` as a PNG in a data URL, scaled from its least value
    (black) to its greatest.
    """
    from PIL import Image

    pixels = photograph(values)
    image = Image.fromarray(pixels if values.shape[0] == 3 else pixels[:, :, 0])
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
