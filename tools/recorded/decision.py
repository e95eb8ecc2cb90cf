"""The rows of ``models/decision/``."""

from __future__ import annotations

import numpy as np
from playing import q_learning, self_play
from playing.catch import Catch
from playing.tree_search import NetworkJudge, RandomJudge
from recorded.results import Figure
from recorded.row import Row, at_least
from recorded.runner import Runner


def dqn(runner: Runner) -> list[Figure]:
    """CartPole of gymnasium, from three seeds: 100 games without random moves each."""
    import gymnasium

    plan = q_learning.Plan(moves=50_000, capacity=50_000, enough=500)
    means, moves = [], []
    for seed in (1, 2, 3):
        game = gymnasium.make("CartPole-v1")
        with runner.timed():
            model = runner.model("decision/dqn", seed=seed)
            moves.append(q_learning.learn(model, game, plan, seed))
            means.append(float(np.mean(q_learning.play(model, game, 100, seed=1_000_000 * seed))))
    runner.commands.append("python tools/record.py dqn")
    shown = ", ".join(f"{mean:.1f}" for mean in means)
    return [
        Figure("mean length of 100 games, by seed", shown, "at least 475 each", min(means) >= 475),
        Figure("moves of learning, by seed", ", ".join(map(str, moves))),
    ]


def dqn_atari(runner: Runner) -> list[Figure]:
    """A game of our own on frames of 84 by 84: catching what falls."""
    plan = q_learning.Plan(
        moves=6_000, capacity=6_000, warm_up=500, rest=4, updates=1, renew=200, batch=32, curious=0.1,
        curious_for=0.5, check_every=1_000, enough=1.0,
    )  # fmt: skip
    game = Catch()
    with runner.timed():
        model = runner.model("decision/dqn_atari", seed=1, actions=3)
        moves = q_learning.learn(model, game, plan, 1)
        caught = float(np.mean(q_learning.play(model, game, 100, seed=1_000_000))) / 2 + 0.5
    runner.commands.append("python tools/record.py dqn_atari")
    return [at_least("share of 100 balls caught", caught, 0.9, 2), Figure("moves of learning", str(moves))]


def policy_value(runner: Runner) -> list[Figure]:
    """Four in a row: the search with the net's policy and values against one with random games, at equal nodes."""
    with runner.timed():
        model = runner.model("decision/policy_value", seed=1)
        self_play.learn(model, self_play.Lessons(rounds=8), 1)
        alone = RandomJudge(np.random.default_rng(1))
        won, drawn, lost = self_play.match(NetworkJudge(model, 100), alone, games=100, nodes=100)
    runner.commands.append("python tools/record.py policy_value")
    return [
        Figure("games of 100 won, drawn and lost with the net", f"{won}, {drawn}, {lost}", "more won", won > lost),
    ]


ROWS = {
    "dqn": Row("Deep Q-learning, Mnih et al. 2015: CartPole", "decision/dqn", "–", dqn),
    "dqn_atari": Row("Deep Q-learning from pictures: Catch", "decision/dqn_atari", "–", dqn_atari),
    "policy_value": Row(
        "Policy, value and tree search, Silver et al. 2016: four in a row", "decision/policy_value", "–", policy_value
    ),
}
