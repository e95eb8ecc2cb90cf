"""Translations, and other texts that a net makes of a text."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from numpy.typing import NDArray

from graphdl.data.vocabulary import BEGIN, END
from graphdl.diagnostics import Diagnostic, ModelError
from graphdl.generating.beams import search
from graphdl.generating.steps import Arrays, Steps, steps
from graphdl.generating.trained import Run, Trained


@dataclass(frozen=True)
class Translation:
    """A text that was made of another one."""

    source: tuple[str, ...]
    tokens: tuple[str, ...]
    text: str
    log_probability: float
    """The logarithm of the probability of the tokens and of the end after them."""
    score: float
    """``log_probability`` with length normalization, by which beams are compared."""
    outputs: Arrays
    """The net's outputs along the text, by name: a row for each token, and one for the end if it has one."""

    attention: NDArray[Any] | None
    """How much each token of the source counted for each token of the text ``[tokens, source]``; None if no output of
    the net says it."""


class Translator:
    """A net of a run that was trained on ``pairs``: it makes a text of a text, by greedy or beam search."""

    def __init__(self, run: Run | Trained, *, device: str | None = None, net: str | None = None) -> None:
        """``run`` is a run folder. ``net`` is another net of its file, which takes those weights that have the names of
        its own.

        Raises:
            ModelError: E0618, the folder holds no run, or a damaged one; E0626, the run makes no text of a text.
        """
        self._trained = Trained.of_run(run, device, net)
        name = self.sequence_of(self._trained)
        if name is None:
            raise ModelError(
                Diagnostic("E0626", f"{self._trained.path} makes no text of a text: it was not trained on 'pairs'")
            )
        self._sequence = name
        self._wording = self._trained.wording(name)
        self._output = self._trained.chances(name, len(self._wording.entries))

    @staticmethod
    def sequence_of(trained: Trained) -> str | None:
        """The input with the text so far, which begins with a mark; None if the run has none."""
        return next((name for name, (way, _) in trained.writings.items() if way.begin), None)

    @cached_property
    def _steps(self) -> Steps:
        outputs = self._trained.outputs_along(self._sequence)
        return steps(self._trained.network, self._sequence, outputs, slides=False)

    def translate(
        self, text: str, *, beams: int = 1, length: int | None = None, penalty: float = 1.0
    ) -> list[Translation]:
        """The best texts of a beam search, the best one first: at most ``beams``. One beam is the greedy choice.

        ``length`` is the greatest number of tokens, by default and at most that of the training. Scores are
        ``log_probability / ((5 + n) / 6) ** penalty`` for n tokens, the end included (Wu et al., 2016); a penalty of 0
        prefers short texts.

        Raises:
            ValueError: an argument is out of range.
            ModelError: E0709, the text is empty; E0714, it is longer than those of the training.
        """
        most = self._steps.limit or self._wording.writing.length
        length = most if length is None else min(length, most)
        if length < 1 or beams < 1 or penalty < 0:
            raise ValueError(f"length and beams are at least 1, penalty at least 0, not {length}, {beams}, {penalty}")
        given = self._trained.encoded(text)
        entries = self._wording.entries
        found = search(
            self._steps, given, first=entries.numbers[BEGIN], end=entries.numbers[END], output=self._output,
            beams=beams, length=length, penalty=penalty, count=len(entries), without=self._wording.silent,
        )  # fmt: skip
        source = tuple(self._trained.wording(self._source).tokens(text))
        results = []
        for each in found:
            tokens = tuple(entries.names[number] for number in each.tokens)
            joint = self._wording.joined(tokens)
            attention = each.outputs.get(self._attention or "")
            if attention is not None:
                attention = attention[: len(tokens), : len(source)]
            score = each.score(penalty)
            results.append(Translation(source, tokens, joint, each.log_probability, score, each.outputs, attention))
        return results

    @cached_property
    def _source(self) -> str:
        """The input with the tokens of the source."""
        ways = self._trained.writings.items()
        return next(name for name, (way, _) in ways if not way.column and way.gives == "tokens")

    @cached_property
    def _attention(self) -> str | None:
        """The output with a number for each token of the source, at each token of the text."""
        graph = self._trained.graph
        length = graph.inputs[self._source].type.shape
        for name in self._trained.outputs_along(self._sequence):
            kind = graph.outputs[name].type
            if name != self._output and kind.element == "float" and kind.shape[1:] == length:
                return name
        return None
