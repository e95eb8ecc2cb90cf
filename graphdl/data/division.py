"""Division of a split into two parts, so that examples that belong together stay together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np

from graphdl.data.dataset import SPLIT_SEED, ArrayField, Field, Rows, Split, divide
from graphdl.data.draws import permutation
from graphdl.settings import SettingCall, written
from graphdl.suggest import did_you_mean

_AT_ONCE = 256
"""The number of examples that are read at once from fields that are not in memory."""


@dataclass(frozen=True)
class Division:
    """The way in which a setting asks for its splits: single examples, groups of equal ones, or contiguous blocks."""

    group: tuple[str, ...] = ()
    """Names of fields or of other properties. Examples that are equal in all of them stay together."""
    blocks: int = 0
    """The number of contiguous blocks into which the examples are divided; 0 for none."""
    made: list[str] = field(default_factory=list)
    """The names of the parts that were made."""

    def divide(
        self, call: SettingCall, split: Split, fraction: float, name: str, stratify: str | None = None
    ) -> tuple[Split, Split]:
        """Divides a split into the rest and a fixed part ``name``; see ``graphdl.data.dataset.divide``.

        With groups or blocks, the part has as many whole ones as come nearest to the fraction.

        Raises:
            ModelError: E0703, there is no such property; E0712, one of the parts would be empty.
        """
        self.made.append(name)
        if not self.group and not self.blocks:
            return divide(split, fraction, name, stratify)
        if self.blocks:
            groups = np.arange(len(split)) * self.blocks // max(1, len(split))
        else:
            groups = _groups(call, split, self.group)
        strata = split.fields[stratify].take(np.arange(len(split))) if stratify is not None and self.group else None
        chosen = _chosen(groups, strata, fraction)
        rest, part = np.flatnonzero(~chosen), np.flatnonzero(chosen)
        if fraction and not (len(rest) and len(part)):
            what = f"{self.blocks} blocks" if self.blocks else f"{groups.max(initial=-1) + 1} groups by {self._named}"
            raise call.error(
                "E0712",
                f"the {len(split)} examples of '{call.setting.name}' form {what}: they cannot be divided into "
                f"'{split.name}' and '{name}' at {fraction:g}",
                argument="blocks" if self.blocks else "group",
            )
        return split.select(rest, split.name), split.select(part, name)

    @property
    def _named(self) -> str:
        return " and ".join(f"'{name}'" for name in self.group)


def by_pattern(
    call: SettingCall, split: Split, pattern: str, names: Sequence[str], what: str, home: Path
) -> dict[str, Split]:
    """The examples whose names match a pattern as the split ``test``, and the others as ``train``. ``what`` has the
    names, in the folder ``home``, for messages.

    Raises:
        ModelError: E0712, one of the splits would be empty.
    """
    is_test = np.array([fnmatchcase(name, pattern) for name in names])
    if is_test.all() or not is_test.any():
        which = f"{'every' if is_test.all() else 'no'} {what}"
        message = f"the pattern {written(pattern)} of the test split matches {which} of {home}"
        raise call.error("E0712", message, argument="test")
    return {
        "train": split.select(np.flatnonzero(~is_test), "train"),
        "test": split.select(np.flatnonzero(is_test), "test"),
    }


def _groups(call: SettingCall, split: Split, names: Sequence[str]) -> Rows:
    """The number of each example's group. Groups are numbered in the order of their first examples."""
    numbers: dict[tuple[int, ...], int] = {}
    columns = [_kinds(call, split, name) for name in names]
    return np.array([numbers.setdefault(key, len(numbers)) for key in zip(*columns, strict=True)], np.intp)


def _kinds(call: SettingCall, split: Split, name: str) -> list[int]:
    """A number for each example; equal examples have equal numbers."""
    known: dict[object, int] = {}
    if name in split.properties:
        return [known.setdefault(value, len(known)) for value in split.properties[name].tolist()]
    if name not in split.fields:
        names = [*split.properties, *split.fields]
        raise call.error(
            "E0703",
            f"'group' names '{name}', which the examples of '{call.setting.name}' do not have",
            argument="group",
            notes=[f"they have: {', '.join(names)}"],
            help=did_you_mean(name, names),
        )
    values: Field = split.fields[name]
    step = len(values) if isinstance(values, ArrayField) else _AT_ONCE
    found = []
    for start in range(0, len(values), max(1, step)):
        for value in values.take(np.arange(start, min(start + step, len(values)))):
            found.append(known.setdefault(value.tobytes(), len(known)))
    return found


def _chosen(groups: Rows, strata: np.ndarray | None, fraction: float) -> np.ndarray:
    """The examples of the part. The groups of each stratum (that of a group's first example) are taken in a fixed
    random order, each if it brings the part nearer to the fraction.
    """
    sizes = np.bincount(groups)
    kinds = np.zeros(len(sizes), np.intp)
    if strata is not None:
        kinds = strata[np.unique(groups, return_index=True)[1]]
    order = permutation(SPLIT_SEED, 0, len(sizes))
    taken = np.zeros(len(sizes), np.bool_)
    for kind in np.unique(kinds):
        missing = fraction * int(sizes[kinds == kind].sum())
        for group in order[kinds[order] == kind]:
            if abs(missing - sizes[group]) < abs(missing):
                taken[group] = True
                missing -= int(sizes[group])
    return taken[groups]
