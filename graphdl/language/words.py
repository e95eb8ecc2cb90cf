"""Names: Unicode's rules for identifiers (Annex 31), with ``_``.

A name starts with a letter of any script and continues with letters, combining marks, digits and ``_`` (Unicode's
XID_Start and XID_Continue). Two encodings of the same letters (é as one character, or as e and an accent) are one name:
names are stored in Unicode's composed form, NFC.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

_PLACEHOLDER = re.compile(r"\{\s*([^\s{}]+)\s*\}")


def normal(name: str) -> str:
    """The stored form of a name, NFC."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def continues(character: str) -> bool:
    """Whether the character can continue a name."""
    return f"a{character}".isidentifier()


def name_end(text: str, start: int) -> int:
    """The end of the name that starts at ``start``; ``start`` itself if none does."""
    if start >= len(text) or not text[start].isidentifier():
        return start
    end = start + 1
    while end < len(text) and continues(text[end]):
        end += 1
    return end


def name_start(text: str, end: int) -> int:
    """The start of the letters, digits and marks before ``end``."""
    while end > 0 and continues(text[end - 1]):
        end -= 1
    return end


def placeholders(text: str) -> Iterator[tuple[re.Match[str], list[str]]]:
    """The names with attributes in braces in the text of an assert: ``{x}``, ``{x.shape}``.

    Yields each match, whose first group is the text between the braces, and the parts of the name.
    """
    for match in _PLACEHOLDER.finditer(text):
        parts = [normal(part) for part in match[1].split(".")]
        if all(part.isidentifier() for part in parts):
            yield match, parts
