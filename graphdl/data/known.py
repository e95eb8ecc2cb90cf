"""Facts about a data set that a run trained on it has stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Known:
    """Classes and columns by field, with the numbers and the order that they had in training; empty if unknown.

    Data that is read again, or other data for the same net, uses the same numbers and order.
    """

    class_names: Mapping[str, Sequence[str]] = field(default_factory=dict)
    columns: Mapping[str, Sequence[str]] = field(default_factory=dict)
