"""The primitive operators, over which every library layer is written. A new one is a file here, in ``_FAMILIES``."""

from graphdl.operators import convolution, elementwise, gather, matmul, random, reduction, structure, window
from graphdl.operators.primitive import Hyper, Lowering, OperatorError, Primitive

_FAMILIES = (elementwise, reduction, structure, window, matmul, convolution, gather, random)

PRIMITIVES: dict[str, Primitive] = {
    primitive.name: primitive for family in _FAMILIES for primitive in family.PRIMITIVES
}
"""Every primitive by its name in the language."""

__all__ = ["PRIMITIVES", "Hyper", "Lowering", "OperatorError", "Primitive"]
