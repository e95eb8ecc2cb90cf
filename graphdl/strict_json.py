"""Standard JSON (RFC 8259), for files that outlive a process and for other programs."""

from __future__ import annotations

import json
from math import isfinite
from typing import Any

_DEEPEST = 64


def encode(value: Any, *, indent: int | None = None, sort_keys: bool = False) -> str:
    """Encodes a value as JSON. NaN and the infinities, which JSON does not have, become null."""
    return json.dumps(finite(value), indent=indent, sort_keys=sort_keys, allow_nan=False)


def decode(text: str | bytes) -> Any:
    """Decodes a JSON text.

    Raises:
        ValueError: it is not UTF-8 or not JSON, contains a number that is not finite or a repeated key, or is nested
            more than 64 deep.
    """
    try:
        value = json.loads(
            text.decode("utf-8") if isinstance(text, bytes) else text,
            object_pairs_hook=_without_twins,
            parse_constant=_refused,
            parse_float=_number,
        )
    except RecursionError:
        raise ValueError(f"nested more than {_DEEPEST} deep") from None
    level = [value]
    for _ in range(_DEEPEST):
        level = [
            item
            for each in level
            if isinstance(each, dict | list)
            for item in (each.values() if isinstance(each, dict) else each)
        ]
        if not level:
            return value
    raise ValueError(f"nested more than {_DEEPEST} deep")


def finite(value: Any) -> Any:
    """A JSON value with None in place of every NaN and infinity."""
    match value:
        case float():
            return value if isfinite(value) else None
        case dict():
            return {key: finite(item) for key, item in value.items()}
        case list() | tuple():
            return [finite(item) for item in value]
        case _:
            return value


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"the entry '{next(key for key in keys if keys.count(key) > 1)}' stands twice")
    return found


def _refused(word: str) -> float:
    raise ValueError(f"{word} is no JSON")


def _number(digits: str) -> float:
    value = float(digits)
    if not isfinite(value):
        raise ValueError(f"the number {digits[:40]} is too large")
    return value
