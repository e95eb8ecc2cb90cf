"""The primitive operators from which all library layers are built.

A new primitive is a file here with ``PRIMITIVES`` and ``CATEGORY``.
"""

from dataclasses import replace
from importlib import import_module
from pkgutil import iter_modules

from graphdl.operators.primitive import Hyper, Lowering, OperatorError, Primitive


def _declared() -> dict[str, Primitive]:
    """The primitives that the files of this folder declare, in the order of the file names, each with its file's
    ``CATEGORY``.

    Raises:
        ValueError: two files declare the same name.
    """
    found: dict[str, Primitive] = {}
    for file in sorted(file.name for file in iter_modules(__path__) if not file.ispkg):
        module = import_module(f"{__name__}.{file}")
        for primitive in getattr(module, "PRIMITIVES", ()):
            if primitive.name in found:
                raise ValueError(f"the primitive {primitive.name} is declared twice, again in {file}.py")
            found[primitive.name] = replace(primitive, category=module.CATEGORY)
    return found


PRIMITIVES: dict[str, Primitive] = _declared()
"""All primitives, by their names in the language."""

__all__ = ["PRIMITIVES", "Hyper", "Lowering", "OperatorError", "Primitive"]
