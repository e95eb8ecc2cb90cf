"""The programs around the nets of ``models/decision/``: a game, a tree search, and Q-learning from a replay."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))

from playing.catch import Catch
from playing.four_in_a_row import CELLS, Position
from playing.q_learning import Plan, learn, play
from playing.replay import Replay
from playing.self_play import turned
from playing.tree_search import RandomJudge, search

import graphdl

DQN = Path(__file__).parents[2] / "models/decision/dqn.net"


def cells(*places: tuple[int, int]) -> int:
    """A set of bits for stones at rows and columns."""
    return sum(Position().after(6 * row + column).others for row, column in places)


@pytest.mark.parametrize(
    ("places", "wins"),
    [
        ([(2, 1), (2, 2), (2, 3), (2, 4)], True),
        ([(1, 5), (2, 5), (3, 5), (4, 5)], True),
        ([(0, 0), (1, 1), (2, 2), (3, 3)], True),
        ([(5, 2), (4, 3), (3, 4), (2, 5)], True),
        ([(1, 3), (1, 4), (1, 5), (2, 0)], False),
        ([(2, 1), (2, 2), (2, 4), (2, 5)], False),
    ],
    ids=["row", "column", "falling", "rising", "over-the-edge", "gap"],
)
def test_four_in_a_line_win(places, wins):
    assert Position(0, cells(*places)).result() == (-1.0 if wins else None)


def test_the_planes_show_what_the_rules_know():
    position = Position().after(0).after(8).after(35)
    planes = position.planes()
    assert np.flatnonzero(planes[0]).tolist() == [8]
    assert np.flatnonzero(planes[1]).tolist() == [0, 35]
    assert position.moves() == [cell for cell in range(CELLS) if cell not in (0, 8, 35)]
    shapes = {turned(planes, turns, mirrored).tobytes() for turns in range(4) for mirrored in (False, True)}
    assert len(shapes) == 8


def test_search_finds_the_winning_move():
    three, far = cells((2, 0), (2, 1), (2, 2)), cells((5, 0), (5, 5), (0, 5))
    counts = search([Position(three, far)] * 3, RandomJudge(np.random.default_rng(1)), 400)
    assert counts.sum(axis=1).tolist() == [400, 400, 400]
    assert counts.argmax(axis=1).tolist() == [15, 15, 15]


def test_the_replay_forgets_the_oldest():
    replay = Replay(3, np.zeros(2, np.uint8))
    for k in range(5):
        replay.add(np.full(2, 51 * k, np.uint8), k, float(k), np.full(2, 51 * k + 51, np.uint8), k == 4)
    batch = replay.batch(200, np.random.default_rng(0))
    assert len(replay) == 3
    assert set(batch["action"].tolist()) == {2, 3, 4}
    np.testing.assert_allclose(batch["now"][:, 0], 0.2 * batch["reward"], atol=1e-6)
    np.testing.assert_allclose(batch["next"], batch["now"] + 0.2, atol=1e-6)
    assert (batch["end"] == (batch["action"] == 4)).all()


def test_a_ball_is_caught_by_who_follows_it():
    game = Catch()
    for seed in range(20):
        frames, _ = game.reset(seed=seed)
        ended = False
        while not ended:
            ball = int(np.flatnonzero((frames[3] == 255).any(axis=0))[0]) // 7
            bar = int(np.flatnonzero((frames[3] == 128).any(axis=0)).mean()) // 7
            frames, reward, ended, _, _ = game.step(1 + np.sign(ball - bar))
        assert reward == 1.0
        assert frames.shape == (4, 84, 84)


class Corridor:
    """Five places in a row: a move costs 0.1, and the right end gives 1. After 20 moves the game is cut off."""

    def reset(self, *, seed: int | None = None):
        self.place, self.moves = 0, 0
        return np.eye(5, dtype=np.float32)[0], {}

    def step(self, action: int):
        self.place = min(4, max(0, self.place + (1 if action else -1)))
        self.moves += 1
        end = self.place == 4
        return np.eye(5, dtype=np.float32)[self.place], float(end) - 0.1, end, self.moves == 20, {}


def test_q_learning_finds_its_way():
    model = graphdl.load(DQN, seed=1, inputs=5, units=16, **{"optimizer.lr": 0.01})
    plan = Plan(
        moves=600, capacity=600, warm_up=50, rest=4, updates=2, renew=20, batch=16, curious_for=0.5, check_every=100,
        check_games=1, enough=0.55,
    )  # fmt: skip
    assert learn(model, Corridor(), plan, 1) < 600
    assert play(model, Corridor(), 1, 0) == pytest.approx([0.6])
