"""Arguments of data sets and augmentations: what several of them check."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from graphdl.settings import Call
from graphdl.suggest import did_you_mean


def declared(package: str, path: Iterable[str], table: str) -> dict[str, Callable[..., Any]]:
    """The functions that the files of a package name in a tuple called ``table``, by their names, in the order of the
    files' names."""
    files = sorted(file.name for file in iter_modules(path))
    found = [getattr(import_module(f"{package}.{file}"), table, ()) for file in files]
    return {function.__name__: function for functions in found for function in functions}


def named(call: Call, table: Mapping[str, Callable[..., Any]], code: str, kind: str) -> Callable[..., Any]:
    name = call.setting.name
    if name not in table:
        notes = [f"known: {', '.join(table)}"]
        raise call.error(code, f"unknown {kind} '{name}'", notes=notes, help=did_you_mean(name, table))
    return table[name]


def fraction(call: Call, name: str, value: float) -> None:
    if not 0 <= value < 1:
        what = f"'{name}' of '{call.setting.name}'"
        raise call.error("E0703", f"{what} must be at least 0 and below 1, found {value}", argument=name)


def two(call: Call, name: str, value: int | list[int]) -> tuple[int, int]:
    """A height and a width, or one number for both."""
    sizes = [value, value] if isinstance(value, int) else value
    if len(sizes) != 2 or min(sizes) < 1:
        what = f"'{name}' of '{call.setting.name}'"
        raise call.error("E0703", f"{what} must be one or two positive numbers", argument=name)
    return sizes[0], sizes[1]
