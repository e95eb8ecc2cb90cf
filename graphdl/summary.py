"""The table of a model: for each module the output shape, parameters, FLOPs and memory for one example."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from graphdl.diagnostics import Diagnostic, ModelError
from graphdl.graph.model import Module, ModuleGraph

if TYPE_CHECKING:
    from graphdl.operators.tensor import Tensor

_FLOAT_BYTES = 4


@dataclass(frozen=True)
class Row:
    """A module that the model's text applies."""

    path: str
    name: str
    """The path relative to the enclosing module."""
    kind: str
    depth: int
    """The depth of nesting; 0 for a module of the net itself."""
    shapes: tuple[str, ...]
    """The shapes of its outputs."""
    parameters: int
    flops: int
    """The FLOPs of the forward pass, for one example."""
    activation_bytes: int
    """Bytes of its outputs, for one example; for a module that contains others, their sum."""


@dataclass(frozen=True)
class Summary:
    """The rows in the order of the text, and the totals of the net."""

    name: str
    documentation: str | None
    inputs: dict[str, str]
    rows: tuple[Row, ...]
    parameters: int
    states: int
    flops: int
    activation_bytes: int


def summarize(graph: ModuleGraph) -> Summary:
    """The table of a graph. Raises ModelError if the graph cannot be lowered."""
    from graphdl.compiler.lowering import lower
    from graphdl.operators.tensor import topological

    lowered = lower(graph, 1, unrolled=True)
    forward: list[Tensor] = topological([*lowered.outputs.values(), *lowered.losses.values()])
    own: dict[int, int] = {}
    for tensor in forward:
        if tensor.origin is not None:
            module = tensor.origin.module
            own[id(module)] = own.get(id(module), 0) + tensor.operation.flops(tensor)
    parameters: dict[int, int] = {}
    for variable in graph.parameters.values():
        module = variable.value.node.module
        parameters[id(module)] = parameters.get(id(module), 0) + variable.type.size
    rows: list[Row] = []
    for child in graph.root.children:
        _rows(child, 0, rows, own, parameters)
    return Summary(
        graph.name,
        graph.documentation,
        {name: str(value.type) for name, value in graph.inputs.items()},
        tuple(rows),
        sum(variable.type.size for variable in graph.parameters.values()),
        sum(variable.type.size for variable in graph.states.values()),
        sum(own.values()),
        sum(row.activation_bytes for row in rows if row.depth == 0),
    )


def table(summary: Summary, *, width: int = 100, depth: int | None = None) -> str:
    """The table as text, down to a depth. Names that are too long for ``width`` are shortened."""
    cells = [
        (
            "  " * row.depth + row.name,
            row.kind,
            ", ".join(row.shapes),
            f"{row.parameters:,}" if row.parameters else "",
            quantity(row.flops) if row.flops else "",
            size(row.activation_bytes),
        )
        for row in summary.rows
        if depth is None or row.depth < depth
    ]
    head = ("module", "kind", "output", "parameters", "FLOPs", "activations")
    foot = ("total", "", "", f"{summary.parameters:,}", quantity(summary.flops), size(summary.activation_bytes))
    widths = [max(len(line[column]) for line in (head, *cells, foot)) for column in range(len(head))]
    spare = width - sum(widths[1:]) - 2 * (len(head) - 1)
    widths[0] = max(min(widths[0], spare), len(head[0]))
    rule = "─" * (sum(widths) + 2 * (len(head) - 1))
    inputs = ", ".join(f"{name}: {kind}" for name, kind in summary.inputs.items())
    lines = [f"{summary.name}({inputs})"]
    if summary.documentation:
        lines.append(summary.documentation.strip())
    lines += [rule, _line(head, widths), rule, *(_line(line, widths) for line in cells), rule, _line(foot, widths)]
    if summary.states:
        lines.append(f"{summary.states:,} numbers of running state are kept beside the parameters")
    return "\n".join(lines)


def quantity(number: float) -> str:
    """``4.09 G`` for 4,089,000,000."""
    for power, prefix in ((12, "T"), (9, "G"), (6, "M"), (3, "k")):
        if number >= 10**power:
            return f"{number / 10**power:.2f} {prefix}"
    return f"{number:g}"


def size(nbytes: int) -> str:
    """``98.0 KiB`` for 100,352 bytes."""
    for power, prefix in ((3, "GiB"), (2, "MiB"), (1, "KiB")):
        if nbytes >= 1024**power:
            return f"{nbytes / 1024**power:.1f} {prefix}"
    return f"{nbytes} B"


def read_size(text: str) -> int:
    """The bytes of a size with its unit: ``1.5GiB``, ``500 MB``, ``1024B``. The case of letters does not matter.

    Raises:
        ModelError: E0624, the text is no size.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?) *(?:([kmgt])(i?))?b", text.strip(), re.IGNORECASE | re.ASCII)
    if found is None:
        raise ModelError(
            Diagnostic(
                "E0624",
                f"'{text}' is no size of memory",
                help="a size is a number and a unit: 500MB, 1.5GiB",
                notes=("the units are B; kB, MB, GB, TB (powers of 1000); KiB, MiB, GiB, TiB (powers of 1024)",),
            )
        )
    number, prefix, binary = found.groups()
    power = "kmgt".index(prefix.lower()) + 1 if prefix else 0
    return int(Fraction(number) * (1024 if binary else 1000) ** power)


def _line(cells: tuple[str, ...], widths: list[int]) -> str:
    first = cells[0] if len(cells[0]) <= widths[0] else cells[0][: widths[0] - 1] + "…"
    left = [first.ljust(widths[0]), *(c.ljust(w) for c, w in zip(cells[1:3], widths[1:3], strict=True))]
    right = [c.rjust(w) for c, w in zip(cells[3:], widths[3:], strict=True)]
    return "  ".join((*left, *right)).rstrip()


def _rows(
    module: Module, depth: int, rows: list[Row], own: dict[int, int], parameters: dict[int, int]
) -> tuple[int, int, int]:
    """Adds the rows of a module and of the modules that its text applies. Returns its parameters, FLOPs and bytes."""
    place = len(rows)
    inner: list[Row] = []
    # The modules inside a library block are not shown.
    hides = any(child.span.in_library for child in module.children)
    counts = [parameters.get(id(module), 0), own.get(id(module), 0), 0]
    for child in module.children:
        made = _rows(child, depth + 1, inner, own, parameters)
        counts = [a + b for a, b in zip(counts, made, strict=True)]
    if hides or not module.children:
        inner = []
        counts[2] = sum(value.type.size for value in module.outputs) * _FLOAT_BYTES
    shapes = tuple(str(value.type) for value in module.outputs)
    around = module.parent.path if module.parent is not None else ""
    name = module.path.removeprefix(f"{around}.")
    rows.insert(place, Row(module.path, name, module.kind, depth, shapes, *counts))
    rows.extend(inner)
    return counts[0], counts[1], counts[2]
