"""What a row is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from recorded.results import Figure
from recorded.runner import Runner


@dataclass(frozen=True)
class Row:
    """A system of the gallery.

    ``file`` is its model, a path below ``models/`` without the ending. ``measure`` runs it and returns its figures.
    """

    title: str
    file: str
    published: str
    measure: Callable[[Runner], list[Figure]]
    quick: bool = False
    """Whether it takes a minute or less, and so runs in the tests."""


def at_least(what: str, value: float, goal: float, digits: int = 4) -> Figure:
    """A figure that is to be a goal or more."""
    return Figure(what, f"{value:.{digits}f}", f"at least {goal:g}", value >= goal)


def at_most(what: str, value: float, goal: float, digits: int = 4) -> Figure:
    """A figure that is to be a goal or less."""
    return Figure(what, f"{value:.{digits}f}", f"at most {goal:g}", value <= goal)


def exact(what: str, value: object, goal: object) -> Figure:
    """A figure that is to be a certain value."""
    return Figure(what, str(value), str(goal), value == goal)
