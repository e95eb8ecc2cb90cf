"""What a name is: Unicode's rules for identifiers (its Annex 31), with ``_``.

A name begins with a letter of any script and goes on with letters, their combining marks, digits and ``_``: what
Unicode calls XID_Start and XID_Continue. Two ways to write the same letters (é as one character, or as e and an accent)
are one name: names are held in Unicode's composed form, NFC.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

_PLACEHOLDER = re.compile(r"\{\s*([^\s{}]+)\s*\}")


def normal(name: str) -> str:
    """The form in which a name is held."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def continues(character: str) -> bool:
    """Whether a name can go on with it."""
    return f"a{character}".isidentifier()


def name_end(text: str, start: int) -> int:
    """Where the name ends that begins at ``start``; ``start`` itself where none does."""
    if start >= len(text) or not text[start].isidentifier():
        return start
    end = start + 1
    while end < len(text) and continues(text[end]):
        end += 1
    return end


def name_start(text: str, end: int) -> int:
    """Where the letters, digits and marks begin that stand before ``end``."""
    while end > 0 and continues(text[end - 1]):
        end -= 1
    return end


def placeholders(text: str) -> Iterator[tuple[re.Match[str], list[str]]]:
    """What stands in braces in the text of an assert, where it is a name with attributes: ``{x}``, ``{x.shape}``.

    Each with its match, whose first group is what stands between the braces, and its parts.
    """
    for match in _PLACEHOLDER.finditer(text):
        parts = [normal(part) for part in match[1].split(".")]
        if all(part.isidentifier() for part in parts):
            yield match, parts
