"""Names of the language for names of an imported model."""

from __future__ import annotations

import re

from graphdl.language.expansion.files import library_index
from graphdl.operators import PRIMITIVES
from graphdl.operators.initializers import INITIALIZERS

_RESERVED = frozenset([
    "if", "else", "for", "in", "as", "and", "or", "not", "scan", "repeat", "true", "false", "none", "training", "len",
    "is_list", "tensor", "float", "int", "bool", "class", "input", "output", "loss", "metric", "param", "state",
    "update", "pi", "inf", "nan", "emit", "assert", "chain",
])  # fmt: skip
"""Names that have a meaning of their own, at least at the start of a statement."""
_MOST = 60
"""The most characters of a name; of a longer one the end is kept."""


class Names:
    """Gives each name of a graph its own name of the language: the same one, if it is one and is free."""

    def __init__(self) -> None:
        self._taken = {*_RESERVED, *PRIMITIVES, *INITIALIZERS, *library_index()}

    def take(self, name: str) -> None:
        """Keeps a name from being given."""
        self._taken.add(name)

    def new(self, wanted: str) -> str:
        """A name that no other call has returned."""
        return unused(simple(wanted), self._taken)


def unused(wanted: str, taken: set[str]) -> str:
    """The wanted name, or the first of wanted_2, wanted_3, … that is not taken; it is taken then."""
    name, number = wanted, 1
    while name in taken:
        number += 1
        name = f"{wanted}_{number}"
    taken.add(name)
    return name


def nested(path: str) -> list[str]:
    """The parts of a name in which modules are repeated: ``/layer1/layer1.0/conv1`` has ``layer1.0`` and ``conv1``."""
    found: list[str] = []
    for part in path.strip("/").split("/"):
        if found and part.startswith(f"{found[-1]}."):
            found.pop()
        found.append(part)
    return found


def simple(wanted: str) -> str:
    """The letters, digits and ``_`` of a name: ``/layer1/layer1.0/Add_output_0`` is ``layer1_0_Add``."""
    path = re.sub(r"_output_\d+$", "", wanted)
    path = "/".join(nested(path)) if path.startswith("/") else path
    parts = [part for part in re.split(r"[^0-9A-Za-z_]+", path) if part]
    name = "_".join(parts)[-_MOST:].lstrip("_") or "t"
    return f"t{name}" if name[0].isdigit() else name
