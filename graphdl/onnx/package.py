"""The ``onnx`` package, which is optional: it is imported when a model is."""

from __future__ import annotations

import importlib
from typing import Any

from graphdl.diagnostics import Diagnostic, ModelError


def onnx(module: str = "") -> Any:
    """The package, or one of its modules.

    Raises:
        ModelError: E0901, it is not installed.
    """
    try:
        return importlib.import_module(f"onnx.{module}" if module else "onnx")
    except ImportError as error:
        raise ModelError(
            Diagnostic(
                "E0901",
                f"the package 'onnx' cannot be imported ({error})",
                help='install it: pip install "graphdl[onnx]"',
            )
        ) from error
