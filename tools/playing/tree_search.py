"""Tree search that is guided by a policy and by values (Silver et al., 2017), in many games at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from playing.four_in_a_row import CELLS, SIZE, Position, played_out

import graphdl


class Judge(Protocol):
    """What guides a search. ``exploration`` is the weight of what is not known yet."""

    exploration: float

    def __call__(self, positions: Sequence[Position]) -> tuple[np.ndarray, np.ndarray]:
        """The policies [n, cells] of some positions, and their values [n] for the player to move."""


@dataclass
class NetworkJudge:
    """The policy and the value of a net. Its batches have ``most`` positions, so that it is compiled once."""

    model: graphdl.Model
    most: int
    exploration: float = 1.5

    def __call__(self, positions: Sequence[Position]) -> tuple[np.ndarray, np.ndarray]:
        boards = np.zeros((self.most, 2, SIZE, SIZE), np.float32)
        for place, position in enumerate(positions):
            boards[place] = position.planes()
        found = self.model.predict(board=boards)
        return found["policy"][: len(positions)], found["value"][: len(positions)]


@dataclass
class RandomJudge:
    """Search without a network: all moves alike, and the value of one game at random."""

    random: np.random.Generator
    exploration: float = 4.0

    def __call__(self, positions: Sequence[Position]) -> tuple[np.ndarray, np.ndarray]:
        values = [played_out(position, self.random) for position in positions]
        return np.full((len(positions), CELLS), 1 / CELLS), np.array(values)


class Node:
    """A position of the tree, and what the search knows of its moves."""

    __slots__ = ("children", "moves", "position", "priors", "result", "sums", "visits")

    def __init__(self, position: Position) -> None:
        self.position = position
        self.result = position.result()
        self.moves = position.moves()
        self.priors = np.zeros(0)
        self.visits = np.zeros(len(self.moves))
        self.sums = np.zeros(len(self.moves))
        self.children: dict[int, Node] = {}

    def expand(self, policy: np.ndarray) -> None:
        """Takes the policy's shares of the possible moves."""
        shares = policy[self.moves] + 1e-8
        self.priors = shares / shares.sum()

    def choose(self, exploration: float) -> int:
        """The move with the greatest bound on its value."""
        values = self.sums / np.maximum(self.visits, 1)
        reach = exploration * np.sqrt(self.visits.sum() + 1)
        return int((values + reach * self.priors / (1 + self.visits)).argmax())


def search(
    positions: Sequence[Position], judge: Judge, nodes: int, noise: np.random.Generator | None = None
) -> np.ndarray:
    """The visits of each cell [n, cells] after ``nodes`` evaluations for each position.

    With ``noise`` the priors of the first moves are mixed with a quarter of a Dirichlet draw, for training.
    """
    roots = [Node(position) for position in positions]
    policies, _ = judge(positions)
    for root, policy in zip(roots, policies, strict=True):
        root.expand(policy)
        if noise is not None:
            root.priors = 0.75 * root.priors + 0.25 * noise.dirichlet(np.full(len(root.moves), 0.5))
    for _ in range(nodes):
        paths = [_descend(root, judge.exploration) for root in roots]
        leaves = [path[-1][0].children[path[-1][1]] for path in paths]
        open_leaves = [leaf for leaf in leaves if leaf.result is None]
        found = judge([leaf.position for leaf in open_leaves]) if open_leaves else ((), ())
        judged = dict(zip(map(id, open_leaves), zip(*found, strict=True), strict=True))
        for path, leaf in zip(paths, leaves, strict=True):
            value = leaf.result
            if value is None:
                policy, value = judged[id(leaf)]
                leaf.expand(policy)
            for node, place in reversed(path):
                value = -value
                node.visits[place] += 1
                node.sums[place] += value
    counts = np.zeros((len(roots), CELLS))
    for row, root in enumerate(roots):
        counts[row, root.moves] = root.visits
    return counts


def _descend(root: Node, exploration: float) -> list[tuple[Node, int]]:
    """The way from the root to a new leaf, or to an end of the game: nodes, and the places of their moves."""
    path, node = [], root
    while True:
        place = node.choose(exploration)
        path.append((node, place))
        child = node.children.get(place)
        if child is None:
            node.children[place] = Node(node.position.after(node.moves[place]))
            return path
        if child.result is not None:
            return path
        node = child
