"""Deep Q-learning (Mnih et al., 2015) around a net with the parts ``online`` and ``target``: ``decision/dqn.net``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from playing.replay import Replay, as_input

import graphdl


class Environment(Protocol):
    """A game, with the methods of gymnasium's environments."""

    def reset(self, *, seed: int | None = None) -> tuple[np.ndarray, Any]:
        """Begins a game; returns its first state."""

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, Any]:
        """Makes a move; returns the state that follows, the reward, and whether the game ended or was cut off."""


@dataclass(frozen=True)
class Plan:
    """How long and how to learn.

    After each ``rest`` moves come ``updates`` steps of training, and after each ``renew`` steps the target becomes the
    online network. The share of random moves falls to ``curious`` in the first ``curious_for`` of the moves. After each
    ``check_every`` moves a few games without random moves are played, and the weights that do best are kept; the
    learning ends early when they reach ``enough`` a game.
    """

    moves: int
    capacity: int
    warm_up: int = 1000
    rest: int = 64
    updates: int = 32
    renew: int = 100
    batch: int = 64
    curious: float = 0.04
    curious_for: float = 0.16
    check_every: int = 2500
    check_games: int = 20
    enough: float = np.inf


def learn(model: graphdl.Model, game: Environment, plan: Plan, seed: int) -> int:
    """Trains the model by playing; it then has the best weights that were found. Returns the number of moves."""
    random = np.random.default_rng(seed)
    trainer = model.trainer(batch=plan.batch)
    state, _ = game.reset(seed=seed)
    replay = Replay(plan.capacity, np.asarray(state))
    actions = model.predict(now=as_input(np.asarray(state)[None]))["value"].shape[-1]
    best, kept, steps, move = -np.inf, weights(model), 0, 0
    while move < plan.moves and best < plan.enough:
        move += 1
        greed = min(1.0, move / (plan.curious_for * plan.moves)) * (1 - plan.curious)
        is_greedy = random.random() < greed and len(replay) >= plan.warm_up
        action = choice(model, state) if is_greedy else int(random.integers(actions))
        following, reward, ended, cut, _ = game.step(action)
        replay.add(state, action, reward, following, ended)
        state = game.reset()[0] if ended or cut else following
        if move >= plan.warm_up and move % plan.rest == 0:
            for _ in range(plan.updates):
                trainer.step(**replay.batch(plan.batch, random))
                steps += 1
                if steps % plan.renew == 0:
                    model.copy_weights("target.*", "online.*")
        if move % plan.check_every == 0:
            found = float(np.mean(play(model, game, plan.check_games, seed=10_000 * (seed + 1))))
            if found > best:
                best, kept = found, weights(model)
            state, _ = game.reset()
    model.parameters.update(kept)
    return move


def play(model: graphdl.Model, game: Environment, games: int, seed: int) -> list[float]:
    """The sum of the rewards of some games without random moves. The games have the seeds from ``seed`` on."""
    sums = []
    for number in range(games):
        state, _ = game.reset(seed=seed + number)
        total, over = 0.0, False
        while not over:
            state, reward, ended, cut, _ = game.step(choice(model, state))
            total += reward
            over = ended or cut
        sums.append(total)
    return sums


def choice(model: graphdl.Model, state: np.ndarray) -> int:
    """The action of the greatest value."""
    return int(model.predict(now=as_input(np.asarray(state)[None]))["value"][0].argmax())


def weights(model: graphdl.Model) -> Mapping[str, np.ndarray]:
    """A copy of all parameters."""
    return {path: np.array(value) for path, value in model.parameters.items()}
