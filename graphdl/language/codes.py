"""Explanations of the codes of diagnostics: the text of ``graphdl explain``.

The texts are the Markdown files of the folder ``codes``, one file for each family of codes, with a heading ``## E0107
Title`` for each code.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_FOLDER = Path(__file__).with_name("codes")
_HEADING = re.compile(r"^## ([EW]\d{4}) (.+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Explanation:
    """The explanation of a code: its title, and Markdown with wrong and right examples."""

    code: str
    title: str
    text: str


def explanation(code: str) -> Explanation | None:
    """The explanation of a code such as ``E0107`` (upper or lower case); None if there is no such code."""
    return catalogue().get(code.upper())


@cache
def catalogue() -> dict[str, Explanation]:
    """All explanations, by code in order."""
    found: dict[str, Explanation] = {}
    for path in sorted(_FOLDER.glob("*.md")):
        text = path.read_text(encoding="utf-8")
        headings = list(_HEADING.finditer(text))
        for heading, following in zip(headings, [*headings[1:], None], strict=True):
            body = text[heading.end() : following.start() if following else len(text)]
            found[heading[1]] = Explanation(heading[1], heading[2].strip(), body.strip())
    return dict(sorted(found.items()))
