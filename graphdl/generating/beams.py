"""Beam search: the likeliest sequences of tokens that a net goes on with, found from a few at a time."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from graphdl.generating.sampling import log_probabilities
from graphdl.generating.steps import Arrays, Steps


@dataclass(frozen=True)
class Hypothesis:
    """A sequence of tokens after the first one, without its end."""

    tokens: tuple[int, ...]
    log_probability: float
    """The sum of the logarithms of the probabilities of the tokens, and of the end if there is one."""
    is_ended: bool
    outputs: Arrays
    """The net's outputs at each token ``[tokens, …]``: what it computed when it chose it."""

    def score(self, penalty: float) -> float:
        """The logarithm of the probability, divided by ``((5 + n) / 6) ** penalty`` for n tokens (Wu et al., 2016)."""
        return self.log_probability / float(((5 + len(self.tokens) + self.is_ended) / 6) ** penalty)


@dataclass
class _Path:
    tokens: tuple[int, ...]
    log_probability: float
    trail: tuple[Arrays, ...]
    """The outputs at each token so far."""


def search(
    steps: Steps,
    given: Arrays,
    *,
    first: int,
    end: int | None,
    output: str,
    beams: int,
    length: int,
    penalty: float,
    count: int,
    without: Collection[int] = (),
) -> list[Hypothesis]:
    """The best sequences that follow the token ``first``, the best one first: at most ``beams``.

    One beam is the greedy choice. A sequence ends with the token ``end``, or after ``length`` tokens. ``given`` is an
    example of the net's other inputs; ``output`` has the probabilities or the logits of the tokens, of
    which the first ``count`` exist, and those of ``without`` are never chosen.
    """
    state = steps.begin(given, beams)
    paths = [_Path((), 0.0, ())] + [_Path((), -np.inf, ()) for _ in range(beams - 1)]
    last = np.full((beams, 1), first, np.int32)
    done: list[Hypothesis] = []
    for _ in range(length):
        outputs, state = steps.advance(state, last)
        logs = log_probabilities(outputs[output])[:, :count]
        logs[:, list(without)] = -np.inf
        totals = np.array([path.log_probability for path in paths])[:, None] + logs
        chosen: list[tuple[int, _Path]] = []
        for rank, flat in enumerate(np.argsort(-totals, axis=None, kind="stable")[: 2 * beams]):
            row, token = divmod(int(flat), totals.shape[1])
            total = float(totals[row, token])
            if total == -np.inf:
                break
            trail = (*paths[row].trail, {name: array[row] for name, array in outputs.items()})
            if token == end and rank < beams:
                done.append(_hypothesis(_Path(paths[row].tokens, total, trail), is_ended=True))
            elif token != end and len(chosen) < beams:
                chosen.append((row, _Path((*paths[row].tokens, token), total, trail)))
        if not chosen or _is_settled(done, chosen, beams, penalty, length):
            break
        filled = chosen + [(chosen[0][0], _Path((), -np.inf, ()))] * (beams - len(chosen))
        state = state.of([row for row, _ in filled])
        paths = [path for _, path in filled]
        last = np.array([[path.tokens[-1] if path.tokens else first] for path in paths], np.int32)
    else:
        done += [_hypothesis(path, is_ended=False) for path in paths if path.log_probability > -np.inf]
    return sorted(done, key=lambda each: -each.score(penalty))[:beams]


def _is_settled(
    done: list[Hypothesis], chosen: list[tuple[int, _Path]], beams: int, penalty: float, length: int
) -> bool:
    """Whether no sequence that goes on can still be better than ``beams`` that have ended: its logarithm only falls,
    and is divided by the most at the greatest length. The greedy choice ends with the first end.
    """
    if len(done) < beams or beams == 1:
        return len(done) >= beams
    best = max(path.log_probability for _, path in chosen) / float(((5 + length) / 6) ** penalty)
    return best <= sorted(each.score(penalty) for each in done)[-beams]


def _hypothesis(path: _Path, *, is_ended: bool) -> Hypothesis:
    names = path.trail[0].keys() if path.trail else ()
    outputs = {name: np.stack([each[name] for each in path.trail]) for name in names}
    return Hypothesis(path.tokens, path.log_probability, is_ended, outputs)
