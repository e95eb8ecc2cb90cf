"""How far a stage of training has come: feeds that each step of training supplies."""

from __future__ import annotations

from graphdl.graph.types import TensorType
from graphdl.operators.primitive import Primitive
from graphdl.operators.tensor import feed

STEP = "training.step"
"""The feed of the number of steps of the stage so far, an int."""
EPOCH = "training.epoch"
"""The feed of the number of epochs of the stage so far; a step is a fraction."""


CATEGORY = "Chance"

PRIMITIVES: tuple[Primitive, ...] = (
    Primitive(
        "training_step", (), lambda types, attributes: (TensorType((), "int"),), lambda node: (feed(STEP, (), "int"),),
        documentation="The number of steps of the stage so far.",
    ),
    Primitive(
        "training_epoch", (), lambda types, attributes: (TensorType(()),), lambda node: (feed(EPOCH, ()),),
        documentation="The number of epochs of the stage so far.",
    ),
)  # fmt: skip
