"""Learning of a policy and a value from games against oneself (Silver et al., 2017), and matches between searches."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
from playing.four_in_a_row import SIZE, Position
from playing.tree_search import Judge, NetworkJudge, search

import graphdl


@dataclass(frozen=True)
class Lessons:
    """How much to play and to learn. A round plays ``games``, each move by a search of ``nodes``, and then makes
    ``steps`` of training on the moves of the last ``kept`` rounds. The first ``free`` moves of a game are drawn.
    """

    rounds: int
    games: int = 64
    nodes: int = 32
    steps: int = 80
    kept: int = 5
    free: int = 8


def learn(model: graphdl.Model, lessons: Lessons, seed: int) -> None:
    """Trains the model by playing against itself."""
    random = np.random.default_rng(seed)
    trainer = model.trainer(batch=64)
    judge = NetworkJudge(model, lessons.games)
    memory: deque[tuple[np.ndarray, np.ndarray, np.ndarray]] = deque(maxlen=lessons.kept)
    for _ in range(lessons.rounds):
        memory.append(games_of(judge, lessons, random))
        boards, visits, results = (np.concatenate(part) for part in zip(*memory, strict=True))
        for _ in range(lessons.steps):
            rows = random.integers(len(boards), size=64)
            turns, mirrored = int(random.integers(4)), bool(random.integers(2))
            board, share = (turned(each, turns, mirrored) for each in (boards[rows], visits[rows]))
            trainer.step(board=board, visits=share.reshape(64, -1), result=results[rows])


def turned(planes: np.ndarray, turns: int, mirrored: bool) -> np.ndarray:
    """Boards in one of their eight symmetries."""
    planes = np.rot90(planes, turns, axes=(-2, -1))
    return np.ascontiguousarray(planes[..., ::-1] if mirrored else planes)


def games_of(judge: Judge, lessons: Lessons, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The moves of games: boards, shares of the visits [n, 6, 6], and the results for the movers."""
    positions = [Position() for _ in range(lessons.games)]
    histories: list[list[tuple[np.ndarray, np.ndarray]]] = [[] for _ in positions]
    boards, shares, results = [], [], []
    playing = list(range(lessons.games))
    while playing:
        counts = search([positions[game] for game in playing], judge, lessons.nodes, random)
        for game, count in zip(playing, counts, strict=True):
            share = count / count.sum()
            histories[game].append((positions[game].planes(), share))
            is_free = len(histories[game]) <= lessons.free
            move = int(random.choice(len(share), p=share)) if is_free else int(share.argmax())
            positions[game] = positions[game].after(move)
            result = positions[game].result()
            if result is None:
                continue
            for board, share in reversed(histories[game]):
                result = -result
                boards.append(board)
                shares.append(share.reshape(SIZE, SIZE))
                results.append(result)
        playing = [game for game in playing if positions[game].result() is None]
    return np.stack(boards), np.stack(shares).astype(np.float32), np.array(results, np.float32)


def match(first: Judge, second: Judge, games: int, nodes: int) -> tuple[int, int, int]:
    """Games won by ``first``, drawn, and lost. Each search has ``nodes`` evaluations a move. ``first`` has the first
    move in half of the games.
    """
    positions = [Position() for _ in range(games)]
    judges = (first, second)
    scores = [0, 0, 0]
    playing, ply = list(range(games)), 0
    while playing:
        for player in (0, 1):
            turn = [game for game in playing if (game + ply) % 2 == player]
            if not turn:
                continue
            counts = search([positions[game] for game in turn], judges[player], nodes)
            for game, count in zip(turn, counts, strict=True):
                positions[game] = positions[game].after(int(count.argmax()))
                result = positions[game].result()
                if result is not None:
                    won = -result if player == 0 else result
                    scores[1 - round(won)] += 1
        playing = [game for game in playing if positions[game].result() is None]
        ply += 1
    return scores[0], scores[1], scores[2]
