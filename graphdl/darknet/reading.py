"""Darknet to the language: reads a configuration layer by layer and writes a net and its weights."""

from __future__ import annotations

from pathlib import Path

from graphdl.darknet.config import Section, UnsupportedLayerError, sections
from graphdl.darknet.layers import LAYERS, OUTPUTS, Step
from graphdl.darknet.weights import Weights
from graphdl.diagnostics import Diagnostic, ModelError
from graphdl.graph.operator import GraphError
from graphdl.graph.types import TensorType
from graphdl.importing.imported import Imported
from graphdl.importing.terms import Term
from graphdl.importing.text import NetText


def read_files(configuration: Path, weights: Path | None = None) -> Imported:
    """The net of a ``.cfg`` file, with the numbers of a ``.weights`` file; without one they are 0.

    Raises:
        ModelError: E0904, a file cannot be read or does not fit; E0903, layers are not supported: all are named.
    """
    try:
        text = configuration.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(Diagnostic("E0904", f"{configuration} cannot be read ({error})")) from error
    return read(text, Weights(weights), name=configuration.stem)


def read(text: str, weights: Weights, *, name: str = "imported") -> Imported:
    """The net of a configuration; see ``read_files``."""
    first, *layers = sections(text, name)
    written = NetText()
    results = [_input(first, written, name)]
    complaints: list[Diagnostic] = []
    outputs: list[Term] = []
    for section in layers:
        written.hint = "t"
        try:
            translate = LAYERS.get(section.kind)
            if translate is None:
                raise UnsupportedLayerError("this kind of layer is not supported")
            result = translate(Step(section, results, written, weights))
        except UnsupportedLayerError as fault:
            complaints.append(_complaint(section, str(fault)))
            break  # without its shape, nothing is known of the layers behind it
        except GraphError as error:
            complaints.append(_complaint(section, error.message))
            break
        written.hint = f"layer_{section.number}"
        (kept,) = written.keep(result)
        results.append(kept)
        if section.kind in OUTPUTS:
            outputs.append(kept)
    complaints += [
        _complaint(section, "this kind of layer is not supported")
        for section in layers[len(results) :]
        if section.kind not in LAYERS
    ]
    if complaints:
        raise ModelError(*complaints)
    weights.check_end()
    for term in outputs or results[-1:]:
        written.output(term.text, term)
    return Imported(*written.finished(name))


def _input(section: Section, written: NetText, name: str) -> Term:
    try:
        height, width, channels = (section.whole(key, 0) for key in ("height", "width", "channels"))
        count = section.whole("inputs", height * width * channels)
    except UnsupportedLayerError as fault:
        raise ModelError(Diagnostic("E0904", f"{name}: [{section.kind}] {fault}")) from None
    if count < 1:
        raise ModelError(Diagnostic("E0904", f"{name}: [{section.kind}] has no height, width and channels, or inputs"))
    shape = (channels, height, width) if height * width * channels else (count,)
    return written.input("image" if len(shape) == 3 else "x", TensorType(shape))[1]


def _complaint(section: Section, reason: str) -> Diagnostic:
    return Diagnostic("E0903", f"layer {section.number} [{section.kind}]: {reason}")
