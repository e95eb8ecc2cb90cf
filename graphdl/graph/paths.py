"""Questions about paths in a module graph: which way gradients flow, how many paths there are."""

from __future__ import annotations

from graphdl.graph.model import Node, Value

_CUT = {"stop_gradient", "batch_count"}


def carries_gradient(value: Value, reader: Node | None = None) -> bool:
    """Whether a gradient can flow back from a node that reads the value: both ends are real numbers and no
    ``stop_gradient`` stands between. Without a reader: whether the value itself can have one."""
    if value.type.element != "float":
        return False
    if reader is None:
        return True
    return reader.operator not in _CUT and any(output.type.element == "float" for output in reader.outputs)
