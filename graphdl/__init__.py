"""graphdl: a deep-learning compiler for a declarative model language, on OpenCL devices of any vendor."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from graphdl.diagnostics import DeviceError, ModelError
    from graphdl.generating import Composer, Transcriber, Translator, Writer
    from graphdl.model import Model, import_caffe, import_darknet, import_onnx, load, loads
    from graphdl.net import Net

__version__ = "0.1.0"

__all__ = [
    "Composer",
    "DeviceError",
    "Model",
    "ModelError",
    "Net",
    "Transcriber",
    "Translator",
    "Writer",
    "import_caffe",
    "import_darknet",
    "import_onnx",
    "load",
    "loads",
]

_HOMES = {
    "Composer": "graphdl.generating",
    "DeviceError": "graphdl.diagnostics",
    "Model": "graphdl.model",
    "ModelError": "graphdl.diagnostics",
    "Net": "graphdl.net",
    "Transcriber": "graphdl.generating",
    "Translator": "graphdl.generating",
    "Writer": "graphdl.generating",
    "import_caffe": "graphdl.model",
    "import_darknet": "graphdl.model",
    "import_onnx": "graphdl.model",
    "load": "graphdl.model",
    "loads": "graphdl.model",
}
"""Public names are imported when they are used: NumPy and OpenCL take longer than ``graphdl check`` does."""


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'graphdl' has no attribute '{name}'")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
