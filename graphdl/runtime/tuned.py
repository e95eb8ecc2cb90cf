"""Tables of measured choices: the fastest form of a hand-written kernel for a problem on a device.

The user's own table of a device and driver is in the cache folder; ``graphdl tune`` writes it. The tables that come
with graphdl are in ``graphdl/tuned/``; ``tools/tables.py`` writes them. A table is a JSON file. It describes the device
on which it was measured, and has an entry for each problem. An entry is valid as long as the kernel would be launched
with the same source.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import tempfile
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import msgspec

from graphdl.cache import cache_folder
from graphdl.compiler.program import Target
from graphdl.operators.kernels.family import Family, Operand, predicted
from graphdl.runtime.opencl import target_of
from graphdl.runtime.ranking import DeviceInfo

FORMAT = 1
SHIPPED = Path(__file__).resolve().parent.parent / "tuned"
"""The tables that come with graphdl."""
_log = logging.getLogger("graphdl")
_COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)
_VENDORS = {"amd": "AMD", "intel": "Intel", "nvidia": "NVIDIA", "apple": "Apple", "arm": "ARM", "qualcomm": "Qualcomm"}

_LEVELS = ("device", "architecture", "vendor", "runtime")

Pattern = tuple[tuple[int, tuple[int, ...]], ...]
"""The offset and the strides of each operand of a kernel."""
Key = tuple[str, str]
"""The name of a family and a problem as text."""


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The measurements of one problem."""

    family: str
    problem: str
    chosen: str
    """The candidate that is used."""
    predicted: str
    """The candidate that the family predicted to be the fastest."""
    patterns: tuple[Pattern, ...]
    source: str
    """A hash of the launches of both candidates, see ``source_of``."""
    seconds: dict[str, float | None]
    """Maps each measured candidate to its least time; None for a candidate that was refused."""
    complete: bool
    """Whether the search of this problem is complete."""

    @property
    def key(self) -> Key:
        return self.family, self.problem


class Described(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The device on which a table was measured. In a table that comes with graphdl, an empty text
    matches any device.
    """

    vendor: str = ""
    architecture: str = ""
    device: str = ""
    runtime: str = ""
    driver: str = ""
    compute_units: int = 0


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The choices that were measured on one device, or that apply to all devices of a kind."""

    format: int
    measured_on: Described
    entries: tuple[Entry, ...]

    @property
    def by_key(self) -> dict[Key, Entry]:
        return {entry.key: entry for entry in self.entries}


class Choice:
    """Chooses the forms of kernels by the first table with a valid entry, else by the family's prediction.

    A ``graphdl.operators.kernels.family.Choose``.
    """

    def __init__(self, tables: Sequence[Table]) -> None:
        self._tables = [(table.by_key, table.measured_on.compute_units) for table in tables]
        self._chosen = lru_cache(maxsize=4096)(self._choose)

    def __call__(self, family: Family[Any, Any], problem: Hashable, target: Target) -> Any:
        return self._chosen(family, problem, target) if self._tables else predicted(family, problem, target)

    def _choose(self, family: Family[Any, Any], problem: Hashable, target: Target) -> Any:
        for entries, units in self._tables:
            entry = entries.get((family.name, repr(problem)))
            measured_on = replace(target, compute_units=units or target.compute_units)
            if entry is not None and holds(entry, family, problem, measured_on):
                named = {repr(candidate): candidate for candidate in family.candidates(problem, target)}
                if entry.chosen in named:
                    return named[entry.chosen]
        return predicted(family, problem, target)


def holds(entry: Entry, family: Family[Any, Any], problem: Hashable, target: Target) -> bool:
    """Whether the kernel would be launched with the same source as when the entry was measured."""
    return entry.source == source_of(family, problem, (entry.chosen, entry.predicted), entry.patterns, target)


def source_of(
    family: Family[Any, Any], problem: Hashable, names: Iterable[str], patterns: Sequence[Pattern], target: Target
) -> str:
    """A hash of the launches of the candidates ``names``: their texts without comments, their parameters and their
    sizes. It is empty if one of the candidates does not exist any more, or the family has other operands.
    """
    candidates = {repr(candidate): candidate for candidate in family.candidates(problem, target)}
    places = len(family.operand_layouts) if "strided" in family.operand_layouts else 0
    if any(len(pattern) != places for pattern in patterns):
        return ""
    digest = hashlib.sha256()
    for name in names:
        if name not in candidates:
            return ""
        for pattern in patterns:
            operands = [Operand(offset, tuple(strides)) for offset, strides in pattern]
            call = family.call(problem, candidates[name], target, operands)
            parameters = sorted({**call.defines, **call.sizes}.items())
            facts = (_stripped(call.text()), parameters, call.global_size, call.local_size)
            digest.update(repr(facts).encode())
    return digest.hexdigest()[:16]


@lru_cache(maxsize=256)
def _stripped(text: str) -> str:
    return " ".join(_COMMENT.sub(" ", text).split())


@cache
def choice_of(info: DeviceInfo) -> Choice:
    """The choice for a device: the user's own table, followed by the matching tables that come with graphdl, the most
    specific first.

    After ``choice_of.cache_clear()`` the tables are read again.
    """
    own = own_table(info)
    return Choice([*([own] if own is not None else []), *shipped_tables(info)])


def own_table(info: DeviceInfo) -> Table | None:
    """The user's own table of a device with this driver; None if there is none or it is damaged."""
    table = read_table(own_path(info))
    return table if table is not None and table.measured_on == described(info) else None


def own_path(info: DeviceInfo) -> Path:
    """The path of the user's own table. Each driver has its own table, so kernels are measured
    again for a new driver.
    """
    key = (info.platform, info.platform_version, info.name, info.version, info.driver_version, str(info.compute_units))
    return cache_folder() / "tuned" / f"{hashlib.sha256(repr(key).encode()).hexdigest()[:16]}.json"


def write_own(info: DeviceInfo, entries: Mapping[Key, Entry]) -> None:
    """Adds entries to the user's own table, atomically.

    Raises:
        OSError: the file cannot be written.
    """
    known = own_table(info)
    merged = {**(known.by_key if known is not None else {}), **entries}
    write_table(own_path(info), described(info), merged)


def write_table(path: Path, measured_on: Described, entries: Mapping[Key, Entry]) -> None:
    """Writes a table atomically. The entries are sorted and have a line each.

    Raises:
        OSError: the file cannot be written.
    """
    whole = msgspec.json.encode(Table(FORMAT, measured_on, ())).removesuffix(b"]}")
    lines = (b"\n" + msgspec.json.encode(entries[key], order="sorted") for key in sorted(entries))
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, suffix=".part")
    with os.fdopen(descriptor, "wb") as file:
        file.write(whole + b",".join(lines) + b"\n]}\n")
    os.replace(temporary, path)


def shipped_tables(info: DeviceInfo, folder: Path | None = None) -> list[Table]:
    """The tables of a folder that match a device, the most specific first: those of the device, of its architecture, of
    its vendor, of any device. Among equally specific tables, those of its runtime come first, then those of as many
    compute units.
    """
    paths = sorted((folder or SHIPPED).glob("*.json"))
    device, found = described(info), []
    for table in filter(None, map(read_table, paths)):
        wanted = table.measured_on
        pairs = [(getattr(wanted, level), getattr(device, level)) for level in _LEVELS]
        if all(not asked or asked == has for asked, has in pairs):
            as_many = wanted.compute_units == device.compute_units
            found.append(([*(bool(asked) for asked, _ in pairs), as_many], table))
    return [table for _, table in sorted(found, key=lambda pair: pair[0], reverse=True)]


def read_table(path: Path) -> Table | None:
    """Reads a table. Returns None if there is no such file. If the file is damaged, a warning of one line is logged and
    the result is None, too.
    """
    try:
        table = msgspec.json.decode(path.read_bytes(), type=Table)
        if table.format != FORMAT:
            raise ValueError(f"its format is {table.format}, not {FORMAT}")
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError, msgspec.MsgspecError) as error:
        _log.warning("the table of measured kernels %s is left out: %s", path, error)
        return None
    return table


def described(info: DeviceInfo) -> Described:
    """The description of a device in tables."""
    words = re.findall(r"[a-z]+", f"{info.name} {info.vendor}".lower())
    vendor = next((name for word in words for key, name in _VENDORS.items() if key in word), "")
    runtime = re.search(r"PoCL \d+|Intel|CUDA|Clover|rusticl|Apple", f"{info.platform_version} {info.platform}")
    return Described(
        vendor=vendor,
        architecture=_architecture(info),
        device=info.name.removeprefix("pthread-").removeprefix("cpu-"),
        runtime=runtime[0] if runtime is not None else info.platform,
        driver=target_of(info).driver,
        compute_units=info.compute_units,
    )


def _architecture(info: DeviceInfo) -> str:
    """The family of a CPU and the width of its vectors; empty for other devices, whose names
    identify the architecture.
    """
    if info.kind != "cpu":
        return ""
    try:
        family = re.search(r"^cpu family\s*:\s*(\d+)", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        family = None
    return f"x86 family {family[1]}, vectors of {info.vector_width}" if family is not None else ""
