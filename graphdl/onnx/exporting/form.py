"""A form: several primitives that are one operator in ONNX."""

from __future__ import annotations

from dataclasses import dataclass

from graphdl.graph.model import Node, Value
from graphdl.graph.types import Shape
from graphdl.onnx.exporting.operators import Translate
from graphdl.onnx.exporting.step import Step
from graphdl.operators.reduction import axes_of


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


def is_number(value: Value, wanted: float) -> bool:
    return number(value) == wanted


def unshaped(value: Value) -> Value:
    """The operand of a reshape, and any other value itself."""
    found = operands(value, "reshape")
    return found[0] if found else value


def vector(value: Value, shape: Shape) -> Value | None:
    """The vector that a value has in this shape, if it is the same for all examples."""
    x = unshaped(value)
    fits = value.type.shape == shape and not value.batched and x.type.element == "float"
    return x if fits and x.type.rank == 1 else None


def column(x: Value) -> Shape:
    """The shape of numbers for the channels of ``x``."""
    return (x.type.shape[0], *[1] * (x.type.rank - 1))


def kept_axis(value: Value) -> int | None:
    """The dimension that a reduction reduces and keeps, if it is one."""
    axes = axes_of([value.node.inputs[0].type], value.node.attributes)
    return axes[0] if len(axes) == 1 and value.node.attributes["keep"] else None


def of_one(operator: str, node: Node, x: Value, **attributes: float | int | str) -> Form:
    def write(step: Step) -> str:
        return step.op(operator, step.name(step.inputs[0], "float"), **attributes)

    return Form(operator, (x,), write, node)
