"""Texts that a language model writes."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

import numpy as np

from graphdl.diagnostics import Diagnostic, ModelError
from graphdl.generating.sampling import Sampling, log_probabilities
from graphdl.generating.steps import Steps, steps
from graphdl.generating.trained import Run, Trained


class Writer:
    """A language model of a run that was trained on ``text``: it goes on with a text, token by token."""

    def __init__(self, run: Run | Trained, *, device: str | None = None, net: str | None = None) -> None:
        """``run`` is a run folder. ``net`` is another net of its file, which takes those weights that have the names of
        its own.

        Raises:
            ModelError: E0618, the folder holds no run, or a damaged one; E0626, the run writes no text.
        """
        self._trained = Trained.of_run(run, device, net)
        name = self.sequence_of(self._trained)
        if name is None:
            raise ModelError(
                Diagnostic("E0626", f"{self._trained.path} goes on with no text: it was not trained on 'text'")
            )
        self._sequence = name
        self._wording = self._trained.wording(name)
        self._output = self._trained.chances(name, len(self._wording.entries))

    @staticmethod
    def sequence_of(trained: Trained) -> str | None:
        """The input with the text so far; None if the run has none."""
        return next((name for name, (way, _) in trained.writings.items() if way.gives == "windows"), None)

    @cached_property
    def _steps(self) -> Steps:
        return steps(self._trained.network, self._sequence, [self._output], slides=True)

    def write(
        self,
        start: str,
        length: int,
        *,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float = 1.0,
        seed: int = 0,
    ) -> Iterator[str]:
        """Goes on with the text ``start`` by ``length`` tokens, and yields each: a character, or a space and a word.

        Each is drawn from the net's probabilities ``p``, in proportion to ``p ** (1 / temperature)``, from the
        ``top_k`` likeliest and of them the likeliest that make up ``top_p``. With a temperature of 0 the likeliest one
        is taken. The same ``seed`` gives the same text.

        Raises:
            ValueError: an argument is out of range.
            ModelError: E0706, ``start`` has a token that does not occur in the training text; E0709, it is empty;
                E0625, the net looks ahead.
        """
        if length < 1:
            raise ValueError(f"the length is at least 1, not {length}")
        sampling = Sampling(temperature, top_k, top_p)
        numbers = self._wording.numbers(start)[None]
        return self._wording.pieces(start, self._tokens(numbers, length, sampling, np.random.default_rng(seed)))

    def _tokens(
        self, numbers: np.ndarray, length: int, sampling: Sampling, random: np.random.Generator
    ) -> Iterator[str]:
        entries, without = self._wording.entries, self._wording.silent
        state = self._steps.begin({}, 1)
        for _ in range(length):
            outputs, state = self._steps.advance(state, numbers)
            logs = log_probabilities(outputs[self._output][0])[: len(entries)]
            logs[without] = -np.inf
            token = sampling.draw(logs, random)
            yield entries.names[token]
            numbers = np.array([[token]], np.int32)
