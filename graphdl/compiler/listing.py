"""The compiler's stages as text, from the module graph on: the output of ``graphdl compile --emit``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from graphdl.compiler.program import Program, Repeat
from graphdl.compiler.recurrence import Loop
from graphdl.graph.model import Module, ModuleGraph, ScanBody, Value
from graphdl.operators.tensor import Operation, Tensor, topological

_LONGEST_VALUE = 60


def modules(graph: ModuleGraph) -> str:
    """The module graph: one line for each node, with its module."""
    lines = [f"{graph.name} for {'training' if graph.training else 'inference'}"]
    for node in graph.nodes:
        path = node.module.path or graph.name
        arguments = [_value(value) for value in node.inputs]
        arguments += [f"{name} = {_short(value)}" for name, value in node.attributes.items()]
        types = ", ".join(str(value.type) for value in node.outputs)
        lines.append(f"%{node.id} = {node.operator}({', '.join(arguments)}): {types}  # {path} {node.span}")
    for kind in ("outputs", "losses", "metrics", "updates"):
        lines += [f"{kind[:-1] if kind != 'losses' else 'loss'} {name} = {_value(value)}"
                  for name, value in getattr(graph, kind).items()]  # fmt: skip
    return "\n".join(lines)


def operators(results: Mapping[str, Tensor]) -> str:
    """The operator graph of the results. The body of a loop is printed below it."""
    names: dict[Tensor, str] = {}
    lines = _graph(list(results.values()), (), "%", "", names)
    lines += [f"{name} = {names[tensor]}" for name, tensor in results.items()]
    return "\n".join(lines)


def _graph(
    results: Sequence[Tensor], leaves: Sequence[Tensor], prefix: str, indent: str, names: dict[Tensor, str]
) -> list[str]:
    lines = []
    order = topological(results, set(leaves))
    names.update({tensor: f"{prefix}{place}" for place, tensor in enumerate(order)})
    for tensor in order:
        operation, name = tensor.operation, names[tensor]
        inputs = ", ".join(names[x] for x in tensor.inputs)
        origin = f"  # {tensor.origin.module.path} {tensor.origin.span}" if tensor.origin is not None else ""
        shape = f"{tensor.element}{list(tensor.shape)}"
        arguments = ", ".join(part for part in (inputs, _attributes(operation)) if part)
        lines.append(f"{indent}{name} = {operation.name}({arguments}): {shape}{origin}")
        if isinstance(operation, Loop):
            lines += _graph(operation.following, operation.leaves, f"{name}.", f"{indent}  ", names)
            lines += [
                f"{indent}  {names[state]} becomes {names[following]}"
                for state, following in zip(operation.states, operation.following, strict=True)
                if state in names
            ]
    return lines


def schedule(program: Program) -> str:
    """The launches in order. Those of a loop are indented."""
    lines: list[str] = []
    _schedule(program, 0, len(program.launches), program.loops, "", lines)
    return "\n".join(lines)


def _schedule(program: Program, first: int, end: int, loops: Sequence[Repeat], indent: str, lines: list[str]) -> None:
    number = first
    for loop in loops:
        lines += [_launch(program, k, indent) for k in range(number, loop.first)]
        lines.append(f"      {indent}{loop.count} times:")
        _schedule(program, loop.first, loop.end, loop.inner, f"{indent}  ", lines)
        number = loop.end
    lines += [_launch(program, k, indent) for k in range(number, end)]


def _launch(program: Program, number: int, indent: str) -> str:
    launch = program.launches[number]
    size = "×".join(map(str, launch.global_size)) + " by " + "×".join(map(str, launch.local_size))
    places = ", ".join(dict.fromkeys(f"{span.source.name}:{span.line}" for span in launch.spans))
    return (
        f"{number:4}  {indent}{launch.label or launch.kernel}  [{size}]  {launch.flops:,} FLOPs"
        f"  {launch.bytes:,} bytes  {launch.kernel}" + (f"  # {places}" if places else "")
    )


def memory(program: Program) -> str:
    """The arena's blocks with their offsets and lives, the named buffers with their sizes, and the launches that run
    again.
    """
    lines = [f"intermediate: {program.arena_bytes:,} bytes, {program.live_bytes:,} alive at once"]
    for block in sorted(program.arena_blocks, key=lambda block: (block.first, block.offset)):
        lines.append(
            f"  {block.offset:>12,} to {block.offset + block.nbytes:>12,}  launches {block.first} to {block.last}"
            f"  {block.label}" + (f"  in {block.form}" if block.form else "")
        )
    for kind in ("variables", "feeds", "fetches"):
        slots = getattr(program, kind)
        lines.append(f"{kind}: {sum(slot.nbytes for slot in slots.values()):,} bytes")
        lines += [f"  {slot.nbytes:>12,}  {slot.name} {slot.element}{list(slot.shape)}" for slot in slots.values()]
    lines.append(f"constants: {sum(array.nbytes for array in program.constants.values()):,} bytes")
    again = [(number, launch) for number, launch in enumerate(program.launches) if launch.again]
    if again:
        lines.append(f"run again: {len(again)} launches, {sum(launch.flops for _, launch in again):,} FLOPs")
        lines += [f"  launch {number}  {launch.label}  {launch.flops:,} FLOPs" for number, launch in again]
    return "\n".join(lines)


def opencl(program: Program) -> str:
    """The text of every kernel."""
    return "\n\n".join(f"// {name}\n{kernel.source.strip()}" for name, kernel in program.kernels.items())


def _value(value: Value) -> str:
    return f"%{value.node.id}" + (f".{value.index}" if len(value.node.outputs) > 1 else "")


def _attributes(operation: Operation) -> str:
    found = getattr(operation, "__dataclass_fields__", {})
    values = {name: getattr(operation, name) for name in found}
    if isinstance(operation, Loop):
        values = {"count": operation.count, "backwards": operation.backwards}
    return ", ".join(f"{name} = {_short(value)}" for name, value in values.items() if not callable(value))


def _short(value: Any) -> str:
    if isinstance(value, ScanBody):
        return f"<{len(value.nodes)} nodes>"
    if isinstance(value, Module):
        return value.path
    text = str(value)
    return text if len(text) <= _LONGEST_VALUE else text[: _LONGEST_VALUE - 1] + "…"
