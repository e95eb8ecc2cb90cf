"""Checks of arguments that several data sets and augmentations share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any

from graphdl.settings import SettingCall, written
from graphdl.suggest import did_you_mean

if TYPE_CHECKING:
    from graphdl.data.dataset import Buckets


class Declared(Mapping[str, Callable[..., Any]]):
    """Maps the file names of a package to the functions of the same names that the files declare.

    A file is imported when its function is looked up.
    """

    def __init__(self, package: str, path: Iterable[str], *, without: str) -> None:
        """``without`` is the file that declares no function."""
        self._package = package
        self._names = tuple(sorted(file.name for file in iter_modules(path) if file.name != without))

    def __getitem__(self, name: str) -> Callable[..., Any]:
        if name not in self._names:
            raise KeyError(name)
        function: Callable[..., Any] = getattr(import_module(f"{self._package}.{name}"), name)
        return function

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def named(call: SettingCall, table: Mapping[str, Callable[..., Any]], code: str, kind: str) -> Callable[..., Any]:
    name = call.setting.name
    if name not in table:
        notes = [f"known: {', '.join(table)}"]
        raise call.error(code, f"unknown {kind} '{name}'", notes=notes, help=did_you_mean(name, table))
    return table[name]


def fraction(call: SettingCall, name: str, value: float) -> None:
    if not 0 <= value < 1:
        what = f"'{name}' of '{call.setting.name}'"
        raise call.error("E0703", f"{what} must be at least 0 and below 1, found {value}", argument=name)


def at_least(call: SettingCall, name: str, value: int, least: int) -> None:
    if value < least:
        what = f"'{name}' of '{call.setting.name}'"
        raise call.error("E0703", f"{what} must be at least {least}, found {value}", argument=name)


def one_of(call: SettingCall, name: str, value: str, known: Sequence[str]) -> None:
    if value not in known:
        raise call.error(
            "E0703",
            f"'{name}' of '{call.setting.name}' must be {' or '.join(map(written, known))}, found {written(value)}",
            argument=name,
            help=did_you_mean(value, known),
        )


def alone(call: SettingCall, name: str, others: Sequence[str]) -> None:
    """Refuses arguments that have no effect beside another one."""
    for other in others:
        if other in call.setting.keywords:
            message = f"'{other}' of '{call.setting.name}' has no effect beside '{name}', which says it itself"
            raise call.error("E0703", message, argument=other)


def buckets(call: SettingCall, values: list[int] | None, length: object, least: int = 1) -> Buckets | None:
    """The lengths of batches, of which the longest is ``length``."""
    if values is None:
        return None
    name = call.setting.names.get("length") if "length" not in call.setting.overrides else None
    if name is None or not isinstance(length, int):
        raise call.error(
            "E0703",
            f"'buckets' of '{call.setting.name}' needs a 'length' that is a 'let' of the file: a shorter batch has "
            "another value of it",
            argument="buckets",
            help="let longest = 20, and in the data: length = longest, buckets = [8, 12]",
        )
    if not values or values != sorted({*values}) or values[0] < least or values[-1] >= length:
        raise call.error(
            "E0703",
            f"'buckets' of '{call.setting.name}' must be ascending lengths of at least {least} and below 'length', "
            f"which is {length}, found {written(values)}",
            argument="buckets",
        )
    from graphdl.data.dataset import Buckets

    return Buckets(name, (*values, length))


def two(call: SettingCall, name: str, value: int | list[int]) -> tuple[int, int]:
    """A height and a width; one number stands for both."""
    sizes = [value, value] if isinstance(value, int) else value
    if len(sizes) != 2 or min(sizes) < 1:
        what = f"'{name}' of '{call.setting.name}'"
        raise call.error("E0703", f"{what} must be one or two positive numbers", argument=name)
    return sizes[0], sizes[1]


def image_shape(call: SettingCall, size: int | list[int], channels: int) -> tuple[int, int, int]:
    """The shape [channels, height, width] of a data set's images, from its arguments ``size`` and ``channels``."""
    height, width = two(call, "size", size)
    if channels not in (1, 3):
        message = f"'channels' of '{call.setting.name}' must be 1 or 3, found {channels}"
        raise call.error("E0703", message, argument="channels")
    return channels, height, width
