"""A form: several primitives that are one operator in ONNX."""

from __future__ import annotations

from dataclasses import dataclass

from graphdl.graph.model import Node, Value
from graphdl.onnx.exporting.operators import Translate


@dataclass(frozen=True)
class Form:
    """A form that was found: its ONNX operator as a label, its operands and what writes it.

    ``like`` is the primitive whose hyperparameters ``write`` reads.
    """

    label: str
    inputs: tuple[Value, ...]
    write: Translate
    like: Node


def operands(value: Value, operator: str) -> tuple[Value, ...] | None:
    """The operands of the primitive that computes a value, if it is this one."""
    return value.node.inputs if value.node.operator == operator else None


def number(value: Value) -> float | None:
    """The value of a constant of shape []."""
    if value.node.operator != "constant" or value.type.rank:
        return None
    return float(value.node.attributes["value"])
