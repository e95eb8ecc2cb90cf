"""Makes the tables of measured choices that come with graphdl, in ``graphdl/tuned/``.

    python tools/tables.py [net ...] [--device intel] [--budget 60]
    python tools/tables.py --prune

The first command searches for the fastest forms of the kernels of the nets of ``tools/bench``: of a training step and
of predictions of 1 and 8 examples, each for ``--budget`` seconds. After each of them it adds the forms that are faster
than the predicted ones to the table of the device's architecture and runtime. They are taken from the user's own table,
so a command that is repeated goes on where the last one was. Nothing else should run on the machine. Where that table
was measured on a busy machine, ``XDG_CACHE_HOME`` should name an empty folder.

The second command needs no device. In every table it removes the entries that have no effect any more.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import pkgutil
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any

import msgspec

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tools" / "bench")]

from measured_nets import NETS  # noqa: E402

from graphdl.compiler.program import Target  # noqa: E402
from graphdl.operators import kernels  # noqa: E402
from graphdl.operators.kernels.family import Family, predicted  # noqa: E402
from graphdl.runtime.ranking import DeviceInfo  # noqa: E402
from graphdl.runtime.tuned import (  # noqa: E402
    SHIPPED,
    Described,
    Entry,
    Table,
    described,
    holds,
    own_table,
    read_table,
    write_table,
)

BATCHES = (1, 8)
"""The batches of predictions."""

_FILES = (each.name for each in pkgutil.iter_modules(kernels.__path__))
_MODULES = [importlib.import_module(f"{kernels.__name__}.{name}") for name in _FILES]
_NAMES = {name: value for module in _MODULES for name, value in vars(module).items()}
FAMILIES: dict[str, Family[Any, Any]] = {each.name: each for each in _NAMES.values() if isinstance(each, Family)}
_PROBLEMS = {name: value for name, value in _NAMES.items() if isinstance(value, type) and is_dataclass(value)}


def search(names: Sequence[str], device: str | None, budget: float, folder: Path = SHIPPED) -> None:
    """Tunes nets, and adds what is found to the device's table."""
    for name in names:
        net = NETS[name]
        for what, batch in (("training", net.batch), *(("inference", batch) for batch in BATCHES)):
            model = net.model(device)
            found = model.tune(seconds=budget, batch=batch, training=what == "training")
            info = model.network.device.info
            path = ship(info, folder)
            faster = sum(each.entry.chosen != each.entry.predicted for each in found.found)
            times = f"{found.before * 1e3:.3f} ms"
            if found.after != found.before:
                times += f" before, {found.after * 1e3:.3f} ms now"
            left = "" if found.complete else "; not done: the same command goes on"
            print(f"{name} {what} {batch}: {faster} of {len(found.tasks)} kernels faster; {times}{left}", flush=True)
            del model
            gc.collect()
    print(f"written to {path}" if path.exists() else "every form is the predicted one: there is no table")


def ship(info: DeviceInfo, folder: Path) -> Path:
    """Adds the user's own entries of a device to the table of its kind. Returns the path of the table.

    A table has only entries with an effect. If there are none, the file is removed.
    """
    measured_on = kind_of(described(info))
    path = folder / file_name(measured_on)
    table, own = read_table(path), own_table(info)
    entries = table.by_key if table is not None else {}
    entries |= {key: entry for key, entry in own.by_key.items() if entry.complete} if own is not None else {}
    _write(path, measured_on, entries.values())
    return path


def prune(folder: Path = SHIPPED) -> list[str]:
    """Removes the entries without an effect from all tables of a folder. Returns a line for each."""
    lines = faults(folder)
    for path, table in tables(folder):
        _write(path, table.measured_on, table.entries)
    return lines


def faults(folder: Path = SHIPPED) -> list[str]:
    """A line for each entry without an effect, and for each file that is not the one of its description."""
    lines = []
    for path, table in tables(folder):
        if path.name != file_name(table.measured_on):
            lines.append(f"{path.name}: the table's description belongs to {file_name(table.measured_on)}")
        target = target_of(table.measured_on)
        for entry in table.entries:
            if reason := fault(entry, target):
                lines.append(f"{path.name}: {entry.family} {entry.problem}: {reason}")
    return lines


def tables(folder: Path) -> list[tuple[Path, Table]]:
    """The tables of a folder."""
    return [(path, msgspec.json.decode(path.read_bytes(), type=Table)) for path in sorted(folder.glob("*.json"))]


def fault(entry: Entry, target: Target) -> str:
    """Why an entry has no effect on a target; empty if it has one."""
    family, problem = FAMILIES.get(entry.family), problem_of(entry)
    if family is None or problem is None:
        return "there is no such problem any more"
    if entry.chosen not in map(repr, family.candidates(problem, target)):
        return f"there is no form {entry.chosen} any more"
    if entry.chosen == repr(predicted(family, problem, target)):
        return "the form is the predicted one"
    if not holds(entry, family, problem, target):
        return "the kernel has changed since it was measured"
    return ""


def problem_of(entry: Entry) -> Any:
    """The problem of an entry; None if its text is no description of a problem any more."""
    try:
        problem = eval(entry.problem, {"__builtins__": {}}, _PROBLEMS)
    except (NameError, SyntaxError, TypeError, ValueError):
        return None
    return problem if repr(problem) == entry.problem else None


def kind_of(device: Described) -> Described:
    """The devices for which the measurements on one are shipped: CPUs of its architecture, or GPUs of its name."""
    name = "" if device.architecture else device.device
    return msgspec.structs.replace(device, device=name, driver="")


def file_name(kind: Described) -> str:
    """The name of the table of a kind of device."""
    parts = (kind.vendor, kind.architecture or kind.device, kind.runtime, f"{kind.compute_units} compute units")
    return re.sub(r"[^a-z0-9]+", "-", " ".join(parts).lower()).strip("-") + ".json"


def target_of(kind: Described) -> Target:
    """A target of a kind. The launches on CPUs depend on the width of vectors and the number of cores alone."""
    width = re.search(r"vectors of (\d+)", kind.architecture)
    if width is not None:
        return Target("cpu", max(4, int(width[1])), kind.compute_units)
    return Target("gpu", 4, kind.compute_units)


def _write(path: Path, kind: Described, entries: Iterable[Entry]) -> None:
    target = target_of(kind)
    kept = {entry.key: _short(entry) for entry in entries if not fault(entry, target)}
    if kept:
        write_table(path, kind, kept)
    else:
        path.unlink(missing_ok=True)


def _short(entry: Entry) -> Entry:
    """An entry with no more than the times of the chosen and the predicted form, in three digits."""
    times = {name: entry.seconds.get(name) for name in (entry.chosen, entry.predicted)}
    seconds = {name: float(f"{time:.3g}") if time is not None else None for name, time in times.items()}
    return msgspec.structs.replace(entry, seconds=seconds)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("nets", nargs="*", metavar="net", help=f"of {', '.join(NETS)}; all by default")
    parser.add_argument("--device", help="as graphdl's --device")
    parser.add_argument("--budget", type=float, default=60.0, metavar="SECONDS", help="of each search (60)")
    parser.add_argument("--prune", action="store_true", help="only remove the entries without an effect")
    chosen = parser.parse_args(arguments)
    if unknown := set(chosen.nets) - set(NETS):
        parser.error(f"there is no net {', '.join(sorted(unknown))}")
    if chosen.prune:
        for line in prune():
            print(line)
    else:
        search(chosen.nets or list(NETS), chosen.device, chosen.budget)


if __name__ == "__main__":
    main()
