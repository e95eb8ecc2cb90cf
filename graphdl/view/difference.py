"""The difference of two documents: the items that only one has, and the hyperparameters that changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher
from itertools import groupby
from typing import Any

_MOST_CHANGES = 60


def difference(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """Compares two documents.

    ``statuses`` are those of all items of both documents (added, removed, changed, same). ``partners`` maps the first's
    items to the second's. ``changes`` are texts with the items that they are about.
    """
    comparing = _Comparing(first["items"], second["items"])
    comparing.match(0, 0)
    comparing.raise_changes()
    return {
        "statuses": [
            [comparing.status[0].get(item["id"], "removed") for item in first["items"]],
            [comparing.status[1].get(item["id"], "added") for item in second["items"]],
        ],
        "partners": comparing.partners,
        "changes": comparing.changes(first, second),
    }


class _Comparing:
    def __init__(self, first: Sequence[Mapping[str, Any]], second: Sequence[Mapping[str, Any]]) -> None:
        self.items = (first, second)
        self.partners: dict[int, int] = {}
        self.status: tuple[dict[int, str], dict[int, str]] = ({}, {})
        self.words: list[dict[str, Any]] = []

    def match(self, a: int, b: int) -> None:
        """Pairs two items and, in order, their children: first those of the same name, then those of the same kind."""
        left, right = self.items[0][a], self.items[1][b]
        self.partners[a] = b
        same = left["label"] == right["label"] and left.get("hyperparameters") == right.get("hyperparameters")
        self.status[0][a] = self.status[1][b] = "same" if same else "changed"
        ours = [self.items[0][child] for child in left.get("children", ())]
        theirs = [self.items[1][child] for child in right.get("children", ())]
        for tag, i1, i2, j1, j2 in SequenceMatcher(
            None, [_name(item) for item in ours], [_name(item) for item in theirs], autojunk=False
        ).get_opcodes():
            if tag == "equal":
                for x, y in zip(ours[i1:i2], theirs[j1:j2], strict=True):
                    self.match(x["id"], y["id"])
            else:
                self._align(ours[i1:i2], theirs[j1:j2])

    def _align(self, ours: Sequence[Mapping[str, Any]], theirs: Sequence[Mapping[str, Any]]) -> None:
        """Pairs items of the same kind in a range where names differ, for instance a series of blocks with a longer
        one.
        """
        kinds = SequenceMatcher(None, [_kind(i) for i in ours], [_kind(i) for i in theirs], autojunk=False)
        for block in kinds.get_matching_blocks():
            for k in range(block.size):
                self.match(ours[block.a + k]["id"], theirs[block.b + k]["id"])

    def raise_changes(self) -> None:
        """Marks a block that contains a change as changed."""
        for side, items in enumerate(self.items):
            lone = "removed" if side == 0 else "added"
            for item in sorted(items, key=lambda each: -each["id"]):
                status = self.status[side].get(item["id"], lone)
                if status == "same":
                    continue
                parent = item["parent"]
                while parent is not None and self.status[side].get(parent) == "same":
                    self.status[side][parent] = "changed"
                    parent = items[parent]["parent"]

    def changes(self, first: Mapping[str, Any], second: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The differences, outermost items first."""
        found: list[dict[str, Any]] = []
        for a, b in self.partners.items():
            left, right = self.items[0][a], self.items[1][b]
            told = _told(left, right)
            if told:
                found.append({"kind": "changed", "text": told, "first": a, "second": b})
        for side, kind in ((0, "removed"), (1, "added")):
            known = self.status[side]
            lone = [item for item in self.items[side] if item["id"] not in known and item["parent"] in known]
            for _, group in groupby(lone, lambda item: (item["parent"], item["type"], item["label"], item.get("text"))):
                run = list(group)
                entry = {"kind": kind, "text": _alone(run), "first": None, "second": None}
                entry["first" if side == 0 else "second"] = run[0]["id"]
                found.append(entry)
        return found[:_MOST_CHANGES]


def _alone(run: Sequence[Mapping[str, Any]]) -> str:
    """``17 × bottleneck 256: stage3.y.bottleneck_7 to …_23``."""
    head = run[0]
    text = head["label"] + (f" {head['text']}" if head.get("text") else "")
    if len(run) == 1:
        return f"{_where(head)}: {text}"
    return f"{len(run)} × {text}: {_where(head)} to {_where(run[-1]).rpartition('.')[2]}"


def _told(left: Mapping[str, Any], right: Mapping[str, Any]) -> str:
    """``stage3: depth 6 → 23``; empty if the two are equal."""
    parts = []
    if left["label"] != right["label"]:
        parts.append(f"{left['label']} → {right['label']}")
    before, after = left.get("hyperparameters", {}), right.get("hyperparameters", {})
    if left["type"] not in ("series",):
        for key in dict.fromkeys([*before, *after]):
            if before.get(key) != after.get(key):
                parts.append(f"{key} {before.get(key, '–')} → {after.get(key, '–')}")
    return f"{_where(left)}: {', '.join(parts)}" if parts else ""


def _where(item: Mapping[str, Any]) -> str:
    return str(item.get("path") or item.get("name") or item["label"])


def _name(item: Mapping[str, Any]) -> tuple[Any, ...]:
    """The properties that two matching items share: their own name, or their kind, settings and shapes."""
    named = item.get("name")
    if item["type"] == "series":
        return ("series", item["label"])
    return (item["type"], item["label"], named, "" if named else item.get("text", ""), tuple(item.get("outputs", ())))


def _kind(item: Mapping[str, Any]) -> tuple[str, str]:
    return item["type"], str(item["label"]).split(" × ")[0]
