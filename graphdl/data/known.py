"""What is known of a data set before it is read, because a run was trained on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Known:
    """Classes and columns as they were numbered and ordered in training, by field; empty where nothing is known.

    Data that is read again, or other data for the same net, keeps to them: the numbers mean the same.
    """

    class_names: Mapping[str, Sequence[str]] = field(default_factory=dict)
    columns: Mapping[str, Sequence[str]] = field(default_factory=dict)
