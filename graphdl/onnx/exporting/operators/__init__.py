"""The translations of the primitives: one function each, found by the primitive's name.

A file here has a table ``TABLE`` of functions. Each gets a ``Step``, writes ONNX nodes and returns the name of the
result, or the names of several.
"""

from collections.abc import Callable, Sequence
from importlib import import_module
from pkgutil import iter_modules

from graphdl.onnx.exporting.step import Step

Translate = Callable[[Step], str | Sequence[str]]

TRANSLATIONS: dict[str, Translate] = {
    primitive: translate
    for file in sorted(file.name for file in iter_modules(__path__))
    for primitive, translate in import_module(f"{__name__}.{file}").TABLE.items()
}
