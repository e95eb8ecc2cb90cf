"""A layered layout as in Sugiyama et al. (1981), for drawings that are made without a browser.

Ranks are longest paths, long edges are split at every rank, sweeps of barycentres order the nodes of a rank, and the
final positions pull each node towards its neighbours.
"""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

_SWEEPS = 8
_GAP = 22.0
_THIN_GAP = 10.0

Key = TypeVar("Key", bound=Hashable)
Point = tuple[float, float]


@dataclass
class Layout(Generic[Key]):
    """The centre of each node, and the points of each edge from top to bottom."""

    width: float
    height: float
    centers: dict[Key, Point] = field(default_factory=dict)
    routes: dict[tuple[Key, Key], list[Point]] = field(default_factory=dict)


@dataclass(eq=False)
class _Cell:
    width: float
    height: float
    rank: int = 0
    x: float = 0.0
    above: list[_Cell] = field(default_factory=list)
    below: list[_Cell] = field(default_factory=list)


def layered(
    sizes: Mapping[Key, tuple[float, float]], edges: Sequence[tuple[Key, Key]], *, gap: float = 36.0
) -> Layout[Key]:
    """Places nodes of given widths and heights so that edges run downwards. An edge that closes a
    cycle runs upwards.
    """
    cells = {key: _Cell(*size) for key, size in sizes.items()}
    forward = _acyclic(list(cells), edges)
    ranks = _ranks(list(cells), forward)
    for key, rank in ranks.items():
        cells[key].rank = rank
    chains: dict[tuple[Key, Key], list[_Cell]] = {}
    everything = list(cells.values())
    for a, b in forward:
        chain = [cells[a]]
        for rank in range(cells[a].rank + 1, cells[b].rank):
            chain.append(_Cell(0.0, 0.0, rank))
        everything += chain[1:]
        chain.append(cells[b])
        for upper, lower in itertools.pairwise(chain):
            upper.below.append(lower)
            lower.above.append(upper)
        chains[a, b] = chain
    layers: list[list[_Cell]] = [[] for _ in range(max((c.rank for c in everything), default=-1) + 1)]
    for cell in everything:
        layers[cell.rank].append(cell)
    _order(layers)
    _place(layers)
    return _gather(layers, cells, chains, edges, gap)


def _acyclic(keys: Sequence[Key], edges: Sequence[tuple[Key, Key]]) -> list[tuple[Key, Key]]:
    """The edges, each once. Back edges of a depth-first search are reversed."""
    following: dict[Key, list[Key]] = {key: [] for key in keys}
    for a, b in dict.fromkeys(edges):
        if a != b:
            following[a].append(b)
    state: dict[Key, int] = {}
    found: dict[tuple[Key, Key], None] = {}
    for start in keys:
        stack: list[tuple[Key, int]] = [(start, 0)]
        while stack:
            key, position = stack.pop()
            if position == 0:
                if key in state:
                    continue
                state[key] = 1
            if position < len(following[key]):
                stack.append((key, position + 1))
                target = following[key][position]
                found[(target, key) if state.get(target) == 1 else (key, target)] = None
                if target not in state:
                    stack.append((target, 0))
            else:
                state[key] = 2
    return list(found)


def _ranks(keys: Sequence[Key], edges: Sequence[tuple[Key, Key]]) -> dict[Key, int]:
    """The rank of each node: the longest path from a source. A node without more inputs than outputs is moved to just
    above its successors.
    """
    following: dict[Key, list[Key]] = {key: [] for key in keys}
    waiting = dict.fromkeys(keys, 0)
    for a, b in edges:
        following[a].append(b)
        waiting[b] += 1
    ranks = dict.fromkeys(keys, 0)
    entering = dict(waiting)
    ready = [key for key in keys if waiting[key] == 0]
    for key in ready:
        for target in following[key]:
            ranks[target] = max(ranks[target], ranks[key] + 1)
            waiting[target] -= 1
            if waiting[target] == 0:
                ready.append(target)
    for key in reversed(ready):
        if following[key] and entering[key] <= len(following[key]):
            ranks[key] = min(ranks[target] for target in following[key]) - 1
    return ranks


def _order(layers: list[list[_Cell]]) -> None:
    """Orders each layer by the mean positions of its neighbours, in sweeps down and up."""
    for sweep in range(_SWEEPS):
        down = sweep % 2 == 0
        for layer in layers if down else reversed(layers):
            for position, cell in enumerate(layer):
                cell.x = float(position)
            neighbours = [(cell.above if down else cell.below) for cell in layer]
            means = {
                id(cell): sum(other.x for other in others) / len(others) if others else cell.x
                for cell, others in zip(layer, neighbours, strict=True)
            }
            layer.sort(key=lambda cell: means[id(cell)])
            for position, cell in enumerate(layer):
                cell.x = float(position)


def _place(layers: list[list[_Cell]]) -> None:
    for layer in layers:
        x = 0.0
        for cell in layer:
            cell.x = x + cell.width / 2
            x += cell.width + _between(cell, cell)
    for sweep in range(2 * _SWEEPS):
        for layer in layers if sweep % 2 == 0 else reversed(layers):
            wanted = []
            for cell in layer:
                others = cell.above if sweep % 2 == 0 else cell.below
                others = others or cell.above or cell.below
                wanted.append(sum(other.x for other in others) / len(others) if others else cell.x)
            _settle(layer, wanted)


def _settle(layer: list[_Cell], wanted: list[float]) -> None:
    """Moves the cells of a layer as close as possible to their wanted positions, in their order and without overlaps.

    Neighbours that would overlap are moved together, to the mean of their wanted positions.
    """
    blocks: list[
        list[float]
    ] = []  # [sum of the positions wanted for the first cell, cells, position of the first cell]
    offsets: list[float] = []
    offset = 0.0
    for position, (cell, wish) in enumerate(zip(layer, wanted, strict=True)):
        if position:
            before = layer[position - 1]
            offset += before.width / 2 + cell.width / 2 + _between(before, cell)
        offsets.append(offset)
        blocks.append([wish - offset, 1.0, wish - offset])
        while len(blocks) > 1 and blocks[-2][2] > blocks[-1][2]:
            last = blocks.pop()
            blocks[-1][0] += last[0]
            blocks[-1][1] += last[1]
            blocks[-1][2] = blocks[-1][0] / blocks[-1][1]
    position = 0
    for _, count, place in blocks:
        for _ in range(int(count)):
            layer[position].x = place + offsets[position]
            position += 1


def _between(a: _Cell, b: _Cell) -> float:
    return _GAP if a.width and b.width else _THIN_GAP


def _gather(
    layers: list[list[_Cell]],
    cells: Mapping[Key, _Cell],
    chains: Mapping[tuple[Key, Key], list[_Cell]],
    edges: Sequence[tuple[Key, Key]],
    gap: float,
) -> Layout[Key]:
    every = [cell for layer in layers for cell in layer]
    left = min((cell.x - cell.width / 2 for cell in every), default=0.0)
    right = max((cell.x + cell.width / 2 for cell in every), default=0.0)
    y, middles = 0.0, []
    for layer in layers:
        height = max(cell.height for cell in layer)
        middles.append(y + height / 2)
        y += height + gap
    layout: Layout[Key] = Layout(right - left, max(0.0, y - gap))
    for key, cell in cells.items():
        layout.centers[key] = (cell.x - left, middles[cell.rank])
    for a, b in edges:
        turned = (a, b) not in chains
        chain = chains.get((b, a) if turned else (a, b))
        if chain is None:
            continue
        points = [(cell.x - left, middles[cell.rank]) for cell in chain]
        first, last = chain[0], chain[-1]
        points[0] = (points[0][0], points[0][1] + first.height / 2)
        points[-1] = (points[-1][0], points[-1][1] - last.height / 2)
        layout.routes[a, b] = points[::-1] if turned else points
    return layout
