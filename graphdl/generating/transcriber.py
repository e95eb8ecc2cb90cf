"""The words of recordings, from a net that was trained by connectionist temporal classification."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from graphdl.data.recordings import predicted
from graphdl.data.vocabulary import Vocabulary
from graphdl.diagnostics import Diagnostic, ModelError
from graphdl.generating.ctc import Labels, greedy, prefix_beam
from graphdl.generating.sampling import log_probabilities
from graphdl.generating.trained import Run, Trained, modules_of
from graphdl.graph.model import Module
from graphdl.training import inference
from graphdl.training.preprocessing import pipeline_of, writings_of


@dataclass(frozen=True)
class Transcript:
    """The text of a recording, and the logarithm of its probability: of its likeliest way through the frames, or of all
    ways that a beam search kept.
    """

    text: str
    log_probability: float


class Transcriber:
    """A net of a run that was trained by the loss ``ctc``: it spells what it hears."""

    def __init__(self, run: Run | Trained, *, device: str | None = None, net: str | None = None) -> None:
        """``run`` is a run folder. ``net`` is another net of its file, which takes those weights that have the names of
        its own.

        Raises:
            ModelError: E0618, the folder holds no run, or a damaged one; E0626, the run spells nothing.
        """
        self._trained = Trained.of_run(run, device, net)
        loss = self.loss_of(self._trained)
        if loss is None:
            raise ModelError(Diagnostic("E0626", f"{self._trained.path} spells nothing: it has no loss 'ctc'"))
        self._blank: int = loss.hyperparameters.get("blank", 0)
        self._entries = self._vocabulary(loss)
        self._output = self._chances(loss.inputs[0].type.shape)

    @staticmethod
    def loss_of(trained: Trained) -> Module | None:
        """The loss ``ctc`` of the net; None if it has none."""
        return next(modules_of(trained.graph.root, "ctc"), None)

    def _vocabulary(self, loss: Module) -> Vocabulary:
        """The names of the labels. Raises ModelError (E0626) if the run does not have them."""
        name = loss.inputs[1].node.attributes.get("name", "")
        ways = writings_of(self._trained.settings.get("inputs", {}), self._trained.class_names)
        if name not in ways:
            raise ModelError(
                Diagnostic("E0626", f"{self._trained.path} does not know the letters of the labels of 'ctc'", loss.span)
            )
        return ways[name][1]

    def _chances(self, shape: tuple[int, ...]) -> str:
        """The output with the probabilities of the labels at each frame, or with their logits."""
        for name, value in self._trained.graph.outputs.items():
            if value.type.shape == shape and value.type.element == "float":
                return name
        frames, labels = shape
        raise ModelError(
            Diagnostic(
                "E0626",
                f"the net '{self._trained.graph.name}' has no output [{frames}, {labels}] with the probabilities of "
                "the labels at each frame",
                self._trained.graph.root.span,
            )
        )

    def transcribe(self, recording: str | os.PathLike[str], *, beams: int = 1) -> list[Transcript]:
        """The likeliest texts of a WAV or FLAC file, the best one first: at most ``beams``.

        One beam is the likeliest way through the frames; several are a beam search over prefixes.

        Raises:
            ValueError: ``beams`` is below 1.
            ModelError: E0704 or E0705, the file is missing or no recording; E0713, the net needs other inputs.
        """
        path = Path(recording)
        sounds = self._trained.sounds.items()
        arrays = {name: predicted(self._trained.reading, path, sound)[None] for name, sound in sounds}
        known = pipeline_of(self._trained.inputs)
        return self.read(known.apply(arrays, training=False, seed=0, epoch=0, first=0), beams=beams)

    def read(self, inputs: Mapping[str, Any], *, beams: int = 1) -> list[Transcript]:
        """As ``transcribe``, of the net's inputs as arrays, for one example: ``[1, …]``."""
        if beams < 1:
            raise ValueError(f"beams is at least 1, not {beams}")
        outputs = inference.predict(self._trained.network, inputs)
        logs = log_probabilities(outputs[self._output][0])
        counted = outputs.get(f"{self._output}_length")
        if counted is not None:
            logs = logs[: int(counted[0])]
        found = [greedy(logs, self._blank)] if beams == 1 else prefix_beam(logs, beams, self._blank)
        return [self._spelled(each) for each in found]

    def _spelled(self, labels: Labels) -> Transcript:
        names = [self._entries.names[number] for number in labels.labels if number < len(self._entries)]
        between = "" if all(len(name) == 1 for name in names) else " "
        return Transcript(between.join(names), labels.log_probability)
