"""The primitive operators, over which every library layer is written. A new one is a file here with ``PRIMITIVES``
and their ``CATEGORY``."""

from dataclasses import replace
from importlib import import_module
from pkgutil import iter_modules

from graphdl.operators.primitive import Hyper, Lowering, OperatorError, Primitive


def _declared() -> dict[str, Primitive]:
    """What the files of this folder declare, in the order of the files' names, each with the file's ``CATEGORY``.

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
"""Every primitive by its name in the language."""

__all__ = ["PRIMITIVES", "Hyper", "Lowering", "OperatorError", "Primitive"]
