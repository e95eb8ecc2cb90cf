"""A net run free: it is given some tokens, and says what comes after them, as often as wanted.

``Steps`` is either the net's form for one step, which keeps its states (``Stepwise``), or the net on its whole window,
run again each time (``Windowed``). Both give the same numbers.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from graphdl.compiler.lowering import lower
from graphdl.diagnostics import Diagnostic, ModelError
from graphdl.generating.locality import NotLocalError
from graphdl.generating.one_step import OneStep, one_step
from graphdl.graph.model import ModuleGraph
from graphdl.runtime import Executor
from graphdl.training import inference
from graphdl.training.network import Network

Tokens = NDArray[np.int32]
Arrays = Mapping[str, NDArray[Any]]

_TOLERANCE = 1e-3
"""How far the same output differs at most, by rounding, between two windows that differ after its place."""


@dataclass(frozen=True)
class State:
    """All that is known of the tokens so far: arrays with a row for each of several sequences."""

    arrays: Arrays

    def of(self, rows: Sequence[int] | NDArray[np.intp]) -> State:
        """The sequences with these numbers, in this order; one may be repeated."""
        return State({name: array[rows] for name, array in self.arrays.items()})


class Steps(Protocol):
    """A net that goes on with several sequences at once."""

    @property
    def limit(self) -> int | None:
        """The greatest number of tokens of a sequence; None if there is none."""

    def begin(self, given: Arrays, rows: int) -> State:
        """The state before the first token, for ``rows`` equal sequences. ``given`` has an example of the net's other
        inputs, with a first dimension of 1.

        Raises:
            ModelError: E0713 to E0717, the arrays do not fit the inputs.
        """

    def advance(self, state: State, tokens: Tokens) -> tuple[Arrays, State]:
        """The outputs ``[rows, …]`` at the last of further tokens ``[rows, count]``, and the state after it."""


def steps(network: Network, sequence: str, outputs: Collection[str], *, slides: bool) -> Steps:
    """The steps of a net whose input ``sequence`` is class numbers [T], and whose ``outputs`` are [T, …].

    ``slides`` says whether a text may grow beyond the window: then its last tokens count alone, if the net has no
    states.
    """
    try:
        return Stepwise(network, one_step(network.inference, [sequence], outputs), sequence, outputs, slides=slides)
    except NotLocalError:
        return Windowed(network, sequence, outputs, slides=slides)


class Stepwise:
    """The form for one step, whose states are kept on the host between the steps."""

    def __init__(
        self, network: Network, form: OneStep, sequence: str, outputs: Collection[str], *, slides: bool
    ) -> None:
        self._network, self._form, self._sequence, self._outputs = network, form, sequence, tuple(outputs)
        window = network.inference.inputs[sequence].type.shape[0]
        self.limit = None if slides else window

    def begin(self, given: Arrays, rows: int) -> State:
        begun: dict[str, NDArray[Any]] = {}
        if self._form.begin.outputs:
            executor = self._executor("begin", self._form.begin, 1)
            fed = inference.fed(self._network, executor.program, given)
            begun |= self._run(executor, fed, self._form.begin.outputs)
        for state in self._form.carried:
            if state.fill is not None:
                begun[state.name] = np.full((1, *state.type.shape), state.fill, np.float32)
        return State({name: np.repeat(array, rows, axis=0) for name, array in begun.items()})

    def advance(self, state: State, tokens: Tokens) -> tuple[Arrays, State]:
        rows, count = tokens.shape
        executor = self._executor("step", self._form.step, rows)
        arrays = dict(state.arrays)
        found: Arrays = {}
        for k in range(count):
            feeds = {self._sequence: tokens[:, k : k + 1], **arrays}
            feeds = {name: array for name, array in feeds.items() if name in executor.program.feeds}
            found = self._run(executor, feeds, self._form.step.outputs)
            arrays |= {each.name: found[each.following] for each in self._form.carried}
        return {name: found[name][:, 0] for name in self._outputs}, State(arrays)

    def _executor(self, part: str, graph: ModuleGraph, batch: int) -> Executor:
        key = ("generate", part, self._sequence, self._outputs, batch)
        return self._network.executor(key, lambda: self._network.compiled(dict(lower(graph, batch).outputs)))

    def _run(
        self, executor: Executor, arrays: dict[str, NDArray[Any]], names: Collection[str]
    ) -> dict[str, NDArray[Any]]:
        feeds = inference.with_seed(executor, arrays, self._network.seed, 0)
        return {name: pending.result() for name, pending in executor.run_and_fetch(feeds, names).items()}


_TEXT = " tokens"
"""The name of the tokens so far in a state. No input of a net has it."""


class Windowed:
    """The net on its window of the sequence. Places after the last token are filled, and must not count."""

    def __init__(self, network: Network, sequence: str, outputs: Collection[str], *, slides: bool) -> None:
        self._network, self._sequence, self._outputs = network, sequence, tuple(outputs)
        self._input = network.inference.inputs[sequence]
        self._window = self._input.type.shape[0]
        self._is_checked = False
        self.limit = None if slides else self._window

    def begin(self, given: Arrays, rows: int) -> State:
        needed = inference.predicted_inputs(self._network)
        others = {name: array for name, array in given.items() if name in needed and name != self._sequence}
        repeated = {name: np.repeat(array, rows, axis=0) for name, array in others.items()}
        return State({**repeated, _TEXT: np.zeros((rows, 0), np.int32)})

    def advance(self, state: State, tokens: Tokens) -> tuple[Arrays, State]:
        arrays = dict(state.arrays)
        text = np.concatenate([arrays.pop(_TEXT), tokens], axis=1)
        if not self._is_checked:
            self._check(arrays, text[:, : self._window - 1])
            self._is_checked = True
        return self._at_last(arrays, text[:, -self._window :], 0), State({**arrays, _TEXT: text})

    def _at_last(self, others: Arrays, text: Tokens, filling: int) -> Arrays:
        rows, count = text.shape
        window = np.full((rows, self._window), filling, np.int32)
        window[:, :count] = text
        found = inference.predict(self._network, {**others, self._sequence: window})
        return {name: found[name][:, count - 1] for name in self._outputs}

    def _check(self, others: Arrays, text: Tokens) -> None:
        """Raises ModelError (E0625) if what comes after a token changes the outputs at it."""
        last = (self._input.type.classes or 2) - 1
        one, other = (self._at_last(others, text, filling) for filling in (0, last))
        for name in self._outputs:
            if not np.allclose(one[name], other[name], rtol=_TOLERANCE, atol=_TOLERANCE):
                raise ModelError(
                    Diagnostic(
                        "E0625",
                        f"the output '{name}' looks ahead: its value at a token depends on the tokens after it",
                        self._input.node.span,
                        help='reading forward alone needs no direction = "both", and a causal mask in attention',
                    )
                )
