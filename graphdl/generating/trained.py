"""A trained net, with what its run knows of its inputs: how they were made from texts and recordings."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphdl.data.dataset import Sound
from graphdl.data.reading import Reading
from graphdl.data.sequences import lines_of, sequences
from graphdl.data.vocabulary import Vocabulary, Writing
from graphdl.diagnostics import Diagnostic, ModelError
from graphdl.generating.one_step import needed_inputs
from graphdl.generating.wording import Wording
from graphdl.graph.model import Module, ModuleGraph
from graphdl.model import Model, open_model
from graphdl.suggest import did_you_mean, enumerated
from graphdl.training.network import Network
from graphdl.training.preprocessing import sounds_of, writings_of
from graphdl.training.sources import limit_of

Run = str | os.PathLike[str]


@dataclass(frozen=True)
class Trained:
    """A model with its best weights, and the settings of its run."""

    model: Model
    settings: Mapping[str, Any]
    path: Path

    @classmethod
    def of_run(cls, run: Run | Trained, device: str | None = None, net: str | None = None) -> Trained:
        """The model of a run folder; one that is loaded already stays as it is.

        Raises:
            ModelError: the folder holds no run, is damaged, or has no checkpoint yet.
        """
        if isinstance(run, Trained):
            return run
        model, folder = open_model(Path(run), device=device, net=net)
        return cls(model, folder.settings, Path(run))

    @property
    def network(self) -> Network:
        return self.model.network

    @property
    def graph(self) -> ModuleGraph:
        return self.network.inference

    @cached_property
    def inputs(self) -> Mapping[str, Any]:
        """What the run stored of each input that the outputs need."""
        needed = needed_inputs(self.graph, self.graph.outputs)
        return {name: known for name, known in self.settings.get("inputs", {}).items() if name in needed}

    @cached_property
    def class_names(self) -> Mapping[str, Sequence[str]]:
        """The names of the classes by field of the data."""
        names: Mapping[str, Sequence[str]] = self.settings.get("class_names", {})
        return names

    @cached_property
    def writings(self) -> Mapping[str, tuple[Writing, Vocabulary]]:
        """The way in which each needed input was made from text, and its vocabulary."""
        return writings_of(self.inputs, self.class_names)

    @cached_property
    def sounds(self) -> Mapping[str, Sound]:
        """The way in which each needed input was made from recordings."""
        return sounds_of(self.inputs)

    @cached_property
    def reading(self) -> Reading:
        """The reader of files, with the limit of the run's data."""
        return Reading(limit=limit_of(self.model.stages()))

    def outputs_along(self, sequence: str) -> list[str]:
        """The outputs with an element for each place of an input: their first dimensions are equal."""
        length = self.graph.inputs[sequence].type.shape[0]
        needed = {
            name: value
            for name, value in self.graph.outputs.items()
            if value.type.rank and value.type.shape[0] == length
        }
        return [name for name in needed if sequence in needed_inputs(self.graph, [name])]

    def chances(self, sequence: str, count: int) -> str:
        """The output that has a number for each of at least ``count`` tokens at each place of an input.

        Raises:
            ModelError: E0626, there is none.
        """
        for name in self.outputs_along(sequence):
            kind = self.graph.outputs[name].type
            if kind.rank == 2 and kind.element == "float" and kind.shape[1] >= count:
                return name
        length = self.graph.inputs[sequence].type.shape[0]
        raise ModelError(
            Diagnostic(
                "E0626",
                f"the net '{self.graph.name}' has no output [{length}, {count}] with the probabilities of the token "
                f"after each one of '{sequence}'",
                self.graph.root.span,
            )
        )

    def encoded(self, text: str) -> dict[str, NDArray[Any]]:
        """The inputs that are made of a source text, for one example.

        Raises:
            ModelError: E0709, the text has no tokens; E0714, it is longer than in training.
        """
        found = {}
        for name, (writing, entries) in self.writings.items():
            if writing.column or writing.begin:
                continue
            wording = Wording.of(self.reading, writing, entries)
            most = writing.length if writing.is_cut else None
            lines = lines_of([text], wording.by, writing.lower, most)
            (count,) = lines.lengths
            if not count:
                raise ModelError(Diagnostic("E0709", f"the text {text!r} has no {wording.units}"))
            if count > writing.length:
                trained = f"the net was trained on at most {writing.length}"
                raise ModelError(Diagnostic("E0714", f"the text has {count} {wording.units}, and {trained}"))
            found[name] = sequences(lines, entries, writing).take(np.arange(1))
        return found

    def wording(self, name: str) -> Wording:
        """The texts of an input."""
        return Wording.of(self.reading, *self.writings[name])

    def given(self, values: Mapping[str, object], besides: Collection[str]) -> dict[str, NDArray[Any]]:
        """The inputs that are neither text nor sound, for one example: numbers, or names of classes.

        Raises:
            ModelError: E0713, there is no such input; E0706, no such class.
        """
        inputs = {name: value for name, value in self.graph.inputs.items() if name not in besides}
        found = {}
        for name, value in values.items():
            if name not in inputs:
                raise ModelError(
                    Diagnostic("E0713", f"the net has no other input '{name}'", help=did_you_mean(name, list(inputs)))
                )
            kind = inputs[name].type
            names = self.class_names.get(self.inputs.get(name, {}).get("field", name), ())
            if isinstance(value, str) and value in names:
                value = names.index(value)
            try:
                array = np.asarray(value, np.float32 if kind.element == "float" else np.int32)
            except ValueError:
                notes = (f"its classes are: {enumerated(names)}",) if names else ()
                raise ModelError(
                    Diagnostic("E0706", f"the input '{name}' is {kind}, and {value!r} is no value of it", notes=notes)
                ) from None
            found[name] = array[None]
        return found


def modules_of(module: Module, kind: str) -> Iterator[Module]:
    """The applied blocks of a kind."""
    if module.kind == kind:
        yield module
    for child in module.children:
        yield from modules_of(child, kind)
