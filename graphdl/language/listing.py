"""The syntax tree as text: the output of ``graphdl compile --emit tree``."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from graphdl.diagnostics import ModelError
from graphdl.language.parser import parse
from graphdl.source import Source


def tree(source: Source) -> str:
    """The syntax tree, with one node on each line.

    Raises:
        ModelError: the text has syntax errors.
    """
    file, diagnostics = parse(source)
    if any(diagnostic.is_error for diagnostic in diagnostics):
        raise ModelError(*diagnostics)
    lines: list[str] = []
    for declaration in file.declarations:
        _syntax(declaration, 0, "", lines)
    return "\n".join(lines)


def _syntax(node: Any, depth: int, role: str, lines: list[str]) -> None:
    indent = "  " * depth + (f"{role}: " if role else "")
    if isinstance(node, tuple):
        for item in node:
            _syntax(item, depth, role, lines)
        return
    if not hasattr(node, "span"):
        if node not in (None, ""):
            lines.append(f"{indent}{node!r}")
        return
    values = [(f.name, getattr(node, f.name)) for f in fields(node) if not f.name.endswith("span")]
    plain = [f"{name}={value!r}" for name, value in values if _is_plain(value) and value not in (None, ())]
    lines.append(f"{indent}{type(node).__name__} {' '.join(plain)}".rstrip() + f"  # {node.span}")
    for name, value in values:
        if not _is_plain(value):
            _syntax(value, depth + 1, name, lines)


def _is_plain(value: Any) -> bool:
    if isinstance(value, tuple):
        return all(map(_is_plain, value))
    return not hasattr(value, "span")
