"""Four in a row on a board of 6 by 6: players take turns to place a stone, and four in any line win."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SIZE = 6
CELLS = SIZE * SIZE
_WIDTH = SIZE + 1
"""Bits of a row: the last one is always 0, so that no line goes on in the next row."""
_BITS = [1 << (cell // SIZE * _WIDTH + cell % SIZE) for cell in range(CELLS)]
_LINES = (1, _WIDTH - 1, _WIDTH, _WIDTH + 1)


@dataclass(frozen=True, slots=True)
class Position:
    """The stones of the player to move, and those of the other, as sets of bits."""

    mine: int = 0
    others: int = 0

    def moves(self) -> list[int]:
        """The empty cells."""
        taken = self.mine | self.others
        return [cell for cell in range(CELLS) if not taken & _BITS[cell]]

    def after(self, move: int) -> Position:
        """The position of the next player."""
        return Position(self.others, self.mine | _BITS[move])

    def result(self) -> float | None:
        """For the player to move: -1 if the other has won, 0 if the board is full, None if the game goes on."""
        for step in _LINES:
            pairs = self.others & self.others >> step
            if pairs & pairs >> 2 * step:
                return -1.0
        return 0.0 if (self.mine | self.others).bit_count() == CELLS else None

    def planes(self) -> np.ndarray:
        """The input of the net: [2, 6, 6]."""
        cells = [[float(bool(stones & bit)) for bit in _BITS] for stones in (self.mine, self.others)]
        return np.array(cells, np.float32).reshape(2, SIZE, SIZE)


def played_out(position: Position, random: np.random.Generator) -> float:
    """The result for the player to move if both go on at random."""
    sign = 1.0
    for move in random.permutation(position.moves()).tolist():
        if (result := position.result()) is not None:
            return sign * result
        position, sign = position.after(move), -sign
    return sign * (position.result() or 0.0)
