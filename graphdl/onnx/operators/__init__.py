"""The translations of ONNX operators: one function each, found by domain and name.

A file here has a table ``TABLE`` of functions. Each gets a ``Step`` and returns a ``Value``, several of them, or
``NotImplemented`` where the body that ONNX gives for the operator serves better.
"""

from collections.abc import Callable
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

TRANSLATIONS: dict[tuple[str, str], Callable[..., Any]] = {
    ("", op): translate
    for file in sorted(file.name for file in iter_modules(__path__))
    for op, translate in import_module(f"{__name__}.{file}").TABLE.items()
}
