"""Pictures of a model and of what it does with examples, for ``graphdl picture`` and ``Model.picture``.

Each kind of picture is a function of the model, of names (of parameters, modules or outputs), and of examples: arrays
for inputs of the net, with the examples as their first dimension.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from graphdl.compiler.lowering import lower
from graphdl.data.dataset import DTYPES
from graphdl.diagnostics import Diagnostic, ModelError
from graphdl.graph.digraph import modules
from graphdl.graph.types import TensorType
from graphdl.suggest import did_you_mean
from graphdl.training import inference
from graphdl.training.samples import examples
from graphdl.training.sources import setting_of
from graphdl.training.stages import Overrides
from graphdl.view import raster
from graphdl.view.raster import Colors, Pixels

if TYPE_CHECKING:
    from PIL.Image import Image

    from graphdl.model import Model

Arrays = Mapping[str, np.ndarray]
_TILE = 56
"""Tiles are enlarged to about so many pixels."""
_MOST_TILES = 100
_CELL = 34
_MATRIX = 480
"""Matrices are enlarged to about so many pixels."""
_SURFACE = 240
"""The points of a decision surface along each side."""


@dataclass(frozen=True)
class Plate:
    """A kind of picture, and the number of examples that it shows if nothing says how many: all of a split if None."""

    draw: Callable[[Model, Sequence[str], Arrays], Image]
    examples: int | None


def draw(model: Model, what: str, names: Sequence[str], arrays: Arrays) -> Image:
    """A picture as a Pillow image.

    Raises:
        ModelError: E0623, there is no such kind of picture, or the net, the names or the examples do not fit it; E0713
            to E0717, the arrays do not fit the inputs.
    """
    return plate(what).draw(model, names, arrays)


def plate(what: str) -> Plate:
    """A kind of picture by name. Raises ModelError (E0623)."""
    if what not in PLATES:
        raise _nothing(f"there is no picture '{what}'", did_you_mean(what, PLATES) or f"one of {', '.join(PLATES)}")
    return PLATES[what]


def examples_for(
    model: Model, what: str, data: str | None, split: str, first: int, count: int | None, *,
    root: Path | None = None, origin: Path | None = None, download: bool = False,
) -> dict[str, np.ndarray]:  # fmt: skip
    """The examples for a picture: ``count`` of a split from number ``first`` on, by default as many as it shows.

    Samples are made of zeros if no ``data`` is named, and filters of no examples at all.

    Raises:
        ModelError: E0623, there is no such picture; the data is missing or does not fit.
    """
    number = count or plate(what).examples
    if what == "filters":
        return {}
    if what == "samples" and data is None:
        kinds = {name: value.type for name, value in model.network.inference.inputs.items()}
        return {name: np.zeros((number or 1, *kind.shape), DTYPES[kind.element]) for name, kind in kinds.items()}
    overrides = Overrides(data=setting_of(data) if data is not None else None)
    return examples(
        model.network, overrides, split, first, number, root=root, origin=origin, download=download, known=model.known
    )


def _nothing(message: str, help: str | None = None) -> ModelError:
    return ModelError(Diagnostic("E0623", message, help=help))


# ---------------------------------------------------------------------------------------------------------- weights


def filters(model: Model, names: Sequence[str], arrays: Arrays) -> Image:
    """The incoming weights of units, or the kernels of a convolution: blue below 0, orange above.

    Several parameters of layers above each other are multiplied, so that the units of the last are seen in pixels.
    """
    path, *above = names or [_first_filters(model)]
    weights = _parameter(model, path)
    for name in above:
        upper = _parameter(model, name)
        if weights.ndim != 2 or upper.ndim != 2 or weights.shape[1] != upper.shape[0]:
            raise _nothing(f"'{name}' {list(upper.shape)} does not stand above weights {list(weights.shape)}")
        weights = weights @ upper
    found = _as_images(model, path, weights)[:_MOST_TILES]
    return raster.titled(_sheet([_signed(each) for each in found]), " x ".join([path, *above]))


def _first_filters(model: Model) -> str:
    kinds = {path: variable.type for path, variable in model.module_graph.parameters.items()}
    sizes = _image_sizes(model)
    for path, kind in kinds.items():
        if (kind.rank == 4 and min(kind.shape[2:]) > 1) or (kind.rank == 2 and kind.shape[0] in sizes):
            return path
    raise _nothing(f"the net '{model.module_graph.name}' has no weights of pixels", f"name one of {', '.join(kinds)}")


def _parameter(model: Model, path: str) -> np.ndarray:
    known = model.module_graph.parameters
    if path not in known:
        raise _nothing(f"the net has no parameter '{path}'", did_you_mean(path, known))
    return model.parameters[path]


def _image_sizes(model: Model) -> dict[int, tuple[int, ...]]:
    """The shapes of the net's images by their number of elements."""
    kinds = [value.type for value in model.module_graph.inputs.values()]
    return {kind.size: kind.shape for kind in kinds if kind.rank == 3 and kind.element == "float"}


def _as_images(model: Model, path: str, weights: np.ndarray) -> list[np.ndarray]:
    """Weights as images ``[channels, h, w]``, one for each unit."""
    if weights.ndim == 4:
        if weights.shape[1] in (1, 3):
            return list(weights)
        return list(weights[:, :1])
    sizes = _image_sizes(model)
    if weights.ndim != 2 or weights.shape[0] not in sizes:
        raise _nothing(
            f"'{path}' {list(weights.shape)} holds no weights of pixels",
            "name the layer on the image first, and then the layers above it",
        )
    return list(weights.T.reshape(-1, *sizes[weights.shape[0]]))


def _signed(weights: np.ndarray) -> Pixels:
    """A filter: of one channel in diverging colours, of three channels as a photograph."""
    return raster.photograph(weights) if weights.shape[0] == 3 else raster.shaded(weights[0], "diverging")


def _sheet(images: Sequence[Pixels], columns: int | None = None) -> Pixels:
    """Tiles, about as wide as they are high unless ``columns`` says how many are in a row."""
    across = columns or max(1, round(np.sqrt(len(images)) * 1.3))
    return raster.tiles(images, across, factor=_factor(images[0], _TILE))


def _factor(image: Pixels, wanted: int) -> int:
    return max(1, int(wanted / max(image.shape[:2]) + 0.5))


# ---------------------------------------------------------------------------------------------------------- examples


def feature_maps(model: Model, names: Sequence[str], arrays: Arrays) -> Image:
    """The channels of a module's output for the first example, scaled one by one."""
    graph = model.module_graph
    known = [m for m in modules(graph.root) if m.path and m.outputs and m.outputs[0].type.rank == 3]
    if not names and not known:
        raise _nothing(f"no module of the net '{graph.name}' gives feature maps")
    name = names[0] if names else known[0].path
    (maps,) = _value(model, name, arrays, 1)
    if maps.ndim != 3:
        raise _nothing(f"'{name}' gives {list(maps.shape)}, and feature maps are [channels, height, width]")
    return raster.titled(_sheet([raster.shaded(each) for each in maps[:_MOST_TILES]]), name)


def reconstructions(model: Model, names: Sequence[str], arrays: Arrays) -> Image:
    """Examples above what an output makes of them."""
    name, kind = _output(model, names, "the shape of an image input", lambda kind: kind.size in _image_sizes(model))
    source = next(n for n, v in model.module_graph.inputs.items() if v.type.size == kind.size and v.type.rank == 3)
    originals = _needed(arrays, source)
    made = model.run(arrays)[name].reshape(originals.shape)
    low, high = _range(np.stack([originals, made]))
    images = [raster.photograph(each[:3], low, high) for each in (*originals, *made)]
    return raster.titled(_sheet(images, len(originals)), f"{source}, and {name}")


def samples(model: Model, names: Sequence[str], arrays: Arrays) -> Image:
    """What a net generates: an output of images, one for each example."""
    name, _ = _output(model, names, "images", lambda kind: kind.rank == 3 and kind.shape[0] in (1, 3))
    made = model.run(arrays)[name]
    low, high = _range(made)
    return raster.titled(_sheet([raster.photograph(each, low, high) for each in made], 10), name)


def confusion(model: Model, names: Sequence[str], arrays: Arrays) -> Image:
    """How many examples of each class got which answer; the colour is the share of the class."""
    labels = {n: v.type.classes for n, v in model.module_graph.inputs.items() if v.type.classes and v.type.rank == 0}
    wanted = "a number for each class of a label"
    name, kind = _output(model, names, wanted, lambda kind: kind.rank == 1 and kind.shape[0] in labels.values())
    label = next(n for n, classes in labels.items() if classes == kind.shape[0])
    truth = _needed(arrays, label).astype(int)
    table = confusion_table(truth, model.run(arrays)[name].argmax(axis=1), kind.shape[0])
    shares = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    cell = _CELL if len(table) <= 20 else max(2, 2 * _MATRIX // len(table))
    pixels = raster.enlarged(raster.shaded(shares, "sequential", 0, 1), cell)
    classes: Sequence[str] = ()
    if len(table) <= 60:
        classes = class_names(model, label, len(table))
    if len(table) <= 20:
        pixels = raster.written_cells(pixels, [[str(count) if count else "" for count in row] for row in table])
    right = float(np.trace(table)) / max(1, len(truth))
    return raster.framed(
        pixels, title=f"{len(truth):,} examples, {right:.2%} right", rows=classes, columns=classes,
        down=f"{label} (rows: truth)", across=f"{name} (columns: answer)", bar=("sequential", 0, 1),
    )  # fmt: skip


def confusion_table(truth: np.ndarray, answers: np.ndarray, classes: int) -> np.ndarray:
    """The number of examples by class and answer: ``[classes, classes]``."""
    return np.bincount(truth * classes + answers, minlength=classes * classes).reshape(classes, classes)


def surface(model: Model, names: Sequence[str], arrays: Arrays) -> Image:
    """An output over the plane of a net with two inputs, with the examples as points."""
    planes = [n for n, v in model.module_graph.inputs.items() if v.type.shape == (2,) and v.type.element == "float"]
    if not planes:
        raise _nothing(f"the net '{model.module_graph.name}' has no input of two numbers")
    name, _ = _output(model, names, "a number or one for each class", lambda kind: kind.rank < 2)
    points = np.asarray(_needed(arrays, planes[0]), np.float64)
    low, high = points.min(axis=0), points.max(axis=0)
    margin = 0.25 * np.where(high > low, high - low, 1)
    low, high = low - margin, high + margin
    sides = [np.linspace(low[k], high[k], _SURFACE) for k in (0, 1)]
    grid = np.stack(np.meshgrid(sides[0], sides[1][::-1]), axis=-1).reshape(-1, 2).astype(np.float32)
    values = model.run({planes[0]: grid}, batch=4096)[name].reshape(_SURFACE, _SURFACE, -1)
    bar: tuple[Colors, float, float] | None = None
    if values.shape[2] == 1:
        bottom, top = _range(values)
        pixels, bar = raster.shaded(values[..., 0], "diverging", bottom, top), ("diverging", bottom, top)
    else:
        pixels = _regions(values)
    pixels = raster.enlarged(pixels, 2)
    labels = next((a for n, a in arrays.items() if n != planes[0] and a.ndim == 1), np.zeros(len(points)))
    _dots(pixels, (points - low) / (high - low), labels, is_number=values.shape[2] == 1)
    down, across = (f"{planes[0]}[{k}] from {low[k]:.3g} to {high[k]:.3g}" for k in (1, 0))
    return raster.framed(pixels, title=name, down=f"up: {down}", across=f"right: {across}", bar=bar)


def _regions(values: np.ndarray) -> Pixels:
    """The colour of the class with the greatest value, lighter than that of the points."""
    colors = np.array([raster.rgb(code) for code in raster.CATEGORIES], np.float64)
    pixels: Pixels = (255 - (255 - colors[values.argmax(axis=2) % len(colors)]) * 0.55).astype(np.uint8)
    return pixels


def _dots(pixels: Pixels, place: np.ndarray, labels: np.ndarray, *, is_number: bool) -> None:
    """Draws a square of 7 pixels with a dark edge for each example. ``place`` is from 0 to 1, upwards."""
    height, width = pixels.shape[:2]
    low, high = (float(labels.min()), float(labels.max())) if len(labels) else (0.0, 1.0)
    for (right, up), label in zip(place, labels, strict=True):
        if is_number:
            color = raster.shaded(np.array([[label]]), "diverging", low, high if high > low else low + 1)[0, 0]
        else:
            color = np.array(raster.rgb(raster.CATEGORIES[int(label) % len(raster.CATEGORIES)]))
        row, column = round((1 - up) * (height - 1)), round(right * (width - 1))
        pixels[max(0, row - 4) : row + 5, max(0, column - 4) : column + 5] = 34
        pixels[max(0, row - 3) : row + 4, max(0, column - 3) : column + 4] = color


# ---------------------------------------------------------------------------------------------------------- matrices


def attention(model: Model, names: Sequence[str], arrays: Arrays) -> Image:
    """A matrix that the net computes for the first example, with tokens at its sides if inputs of its lengths have
    names. Several heads are tiles.
    """
    likely = [n for n, v in model.module_graph.outputs.items() if v.type.rank in (2, 3) and "attention" in n]
    name = names[0] if names else likely[0] if likely else ""
    if not name:
        raise _nothing("which matrix?", "name an output or a module that gives one: picture RUN attention NAME")
    (values,) = _value(model, name, arrays, 1)
    if values.ndim == 3 and values.shape[0] > 1:
        return raster.titled(_sheet([raster.shaded(each, "sequential") for each in values[:_MOST_TILES]]), name)
    values = values.reshape(values.shape[-2:]) if values.ndim == 3 else values
    if values.ndim != 2:
        raise _nothing(f"'{name}' gives {list(values.shape)}, which is no matrix")
    rows, columns = _tokens(model, arrays, values.shape)
    values = values[: len(rows) or None, : len(columns) or None]
    low, high = _range(values)
    factor = min(_CELL, max(1, _MATRIX // max(values.shape)))
    pixels = raster.enlarged(raster.shaded(values, "sequential", low, high), factor)
    return raster.framed(pixels, title=name, rows=rows, columns=columns, bar=("sequential", low, high))


def _tokens(model: Model, arrays: Arrays, shape: tuple[int, ...]) -> tuple[list[str], list[str]]:
    """The tokens of the first example at the rows and the columns; those behind a text's end are left out."""
    kinds = {n: v.type for n, v in model.module_graph.inputs.items() if v.type.classes and v.type.rank == 1}
    found: list[list[str]] = []
    used = ""
    for length, wanted in ((shape[0], "next"), (shape[1], "")):
        fitting = [n for n, k in kinds.items() if k.shape[0] == length and n in arrays]
        fresh = [n for n in fitting if n != used] or fitting
        used = wanted if wanted in fresh else fresh[0] if fresh else ""
        if not used:
            found.append([])
            continue
        ids = arrays[used][0].astype(int)
        words = class_names(model, used, kinds[used].classes or 0)
        end = int(np.flatnonzero(ids)[-1]) + 1 if ids.any() else len(ids)
        found.append([words[k] for k in ids[:end]])
    return found[0], found[1]


def spectrogram(model: Model, names: Sequence[str], arrays: Arrays) -> Image:
    """The loudness of the first recording over time and frequency, by a windowed Fourier transform; or a matrix
    ``[frequencies, times]`` that the net computes, by its name.
    """
    if names and names[0] not in model.module_graph.inputs:
        (values,) = _value(model, names[0], arrays, 1)
        if values.ndim == 3 and values.shape[0] == 1:
            values = values[0]
        if values.ndim != 2:
            raise _nothing(f"'{names[0]}' gives {list(values.shape)}, and a spectrogram is [frequencies, times]")
        title = names[0]
    else:
        waves = [n for n, v in model.module_graph.inputs.items() if v.type.rank == 1 and v.type.element == "float"]
        if not (names or waves):
            raise _nothing(f"the net '{model.module_graph.name}' has no recording for an input")
        title = names[0] if names else waves[0]
        values = decibels(_needed(arrays, title)[0])
    low, high = _range(values, decibels=title in model.module_graph.inputs)
    pixels = raster.shaded(values[::-1], "sequential", low, high)
    factor = _factor(pixels, _MATRIX)
    return raster.framed(
        raster.enlarged(pixels, factor), title=title, down="up: frequency", across="right: time",
        bar=("sequential", low, high),
    )  # fmt: skip


def decibels(wave: np.ndarray, window: int = 256, hop: int = 64) -> np.ndarray:
    """The power of a wave ``[n]`` in decibels, ``[window // 2 + 1, times]``, with a Hann window."""
    padded = np.pad(np.asarray(wave, np.float64), (0, max(0, window - len(wave))))
    frames = np.lib.stride_tricks.sliding_window_view(padded, window)[::hop]
    power = np.abs(np.fft.rfft(frames * np.hanning(window + 1)[:-1], axis=1)) ** 2
    return np.asarray(10 * np.log10(power + 1e-10).T)


# ---------------------------------------------------------------------------------------------------------- common


def _output(
    model: Model, names: Sequence[str], wanted: str, fits: Callable[[TensorType], bool]
) -> tuple[str, TensorType]:
    """The output with the given name, or else the first that fits."""
    kinds = {name: value.type for name, value in model.module_graph.outputs.items()}
    if names and names[0] not in kinds:
        raise _nothing(f"the net has no output '{names[0]}'", did_you_mean(names[0], kinds))
    found = [name for name in names[:1] or kinds if fits(kinds[name])]
    if not found:
        shown = ", ".join(f"{name}: {kind}" for name, kind in kinds.items())
        raise _nothing(f"no output of the net '{model.module_graph.name}' gives {wanted}", f"its outputs are {shown}")
    return found[0], kinds[found[0]]


def _value(model: Model, name: str, arrays: Arrays, count: int) -> np.ndarray:
    """An output, or the output of a module, for the first examples."""
    graph = model.module_graph
    few = {key: array[:count] for key, array in arrays.items()}
    if name in graph.outputs:
        return model.run(few)[name]
    known = {module.path: module for module in modules(graph.root) if module.path and module.outputs}
    if name not in known:
        raise _nothing(f"the net has no output or module '{name}'", did_you_mean(name, [*graph.outputs, *known]))
    lowered = lower(graph, count, unrolled=True)
    program = model.network.compiled({name: lowered.values[known[name].outputs[0]]})
    return inference.run_once(model.network, program, few, training=False)[name]


def _needed(arrays: Arrays, name: str) -> np.ndarray:
    if name not in arrays:
        raise _nothing(f"the picture needs examples of the input '{name}'")
    return np.asarray(arrays[name])


def _range(values: np.ndarray, *, decibels: bool = False) -> tuple[float, float]:
    """The values of the ends of the colours: 0 and 1 for values between them, else the extremes. Decibels end 80 below
    the greatest.
    """
    low, high = float(values.min()), float(values.max())
    if decibels:
        return max(low, high - 80), high
    return (0.0, 1.0) if low >= -1e-6 and high <= 1 + 1e-6 else (low, high)


def class_names(model: Model, name: str, count: int) -> list[str]:
    """The names of an input's classes that a run stores; else their numbers.

    A field of tokens one ahead has the vocabulary of the target, or of the text.
    """
    for known in model.known.values():
        for field in (name, "target", "text", *known.class_names):
            if len(known.class_names.get(field, ())) == count:
                return list(known.class_names[field])
    return [str(number) for number in range(count)]


PLATES: Mapping[str, Plate] = {
    "filters": Plate(filters, 0),
    "maps": Plate(feature_maps, 1),
    "confusion": Plate(confusion, None),
    "reconstructions": Plate(reconstructions, 10),
    "samples": Plate(samples, 40),
    "surface": Plate(surface, None),
    "attention": Plate(attention, 1),
    "spectrogram": Plate(spectrogram, 1),
}
"""The kinds of pictures by name."""
