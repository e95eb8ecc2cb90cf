"""The inputs of ``graphdl predict``: images, ``.npy``, ``.npz`` and ``.csv`` files as arrays."""

from __future__ import annotations

import csv
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from graphdl.diagnostics import Diagnostic, ModelError
from graphdl.graph.types import TensorType

_MODES = {1: "L", 3: "RGB", 4: "RGBA"}


def read_inputs(paths: Sequence[Path], types: Mapping[str, TensorType]) -> tuple[dict[str, np.ndarray], list[str]]:
    """Arrays by input, examples first, and what to call each example.

    ``types`` are the inputs that the net's outputs need, as files give them. A file of one array, images and tables
    feed the net's only such input; the arrays of an ``.npz`` file have names.

    Raises:
        ModelError: E0704 or E0705, a file is missing or damaged; E0713, it is unclear which input it feeds.
    """
    parts: dict[str, list[np.ndarray]] = {}
    names: list[str] = []
    for path in paths:
        match path.suffix.lower():
            case ".npz":
                found = _npz(path)
            case ".npy":
                found = {_only(types, path, None): _npy(path)}
            case ".csv":
                found = {_only(types, path, 1): _table(path)}
            case _:
                name = _only(types, path, 3)
                found = {name: _image(path, types[name].shape)}
        if not found:
            raise _damaged(path, "it holds no arrays")
        for name, array in found.items():
            parts.setdefault(name, []).append(array)
        count = len(next(iter(found.values()))) if next(iter(found.values())).ndim else 1
        names += [str(path)] if count == 1 else [f"{path}[{k}]" for k in range(count)]
    try:
        return {name: np.concatenate(arrays) for name, arrays in parts.items()}, names
    except ValueError as error:
        raise ModelError(Diagnostic("E0714", f"the files hold arrays of different shapes ({error})")) from error


def _only(types: Mapping[str, TensorType], path: Path, rank: int | None) -> str:
    fitting = [name for name, kind in types.items() if rank is None or (kind.rank == rank and kind.element == "float")]
    if len(fitting) != 1:
        inputs = ", ".join(f"{name}: {kind}" for name, kind in types.items())
        raise ModelError(
            Diagnostic(
                "E0713",
                f"{path} could feed {'no input' if not fitting else 'several inputs'} of the net",
                notes=(f"its inputs are: {inputs}",),
                help="give an .npz file with an array for each input, by its name",
            )
        )
    return fitting[0]


def _image(path: Path, shape: Sequence[int]) -> np.ndarray:
    """An image as ``[1, channels, height, width]``, from 0 to 1, scaled to the size that is wanted."""
    from PIL import Image

    channels, height, width = shape
    if channels not in _MODES:
        raise ModelError(Diagnostic("E0714", f"{path}: an image has 1, 3 or 4 channels, the net wants {channels}"))
    try:
        with Image.open(path) as opened:
            image = opened.convert(_MODES[channels])
        if image.size != (width, height):
            image = image.resize((width, height), Image.Resampling.BILINEAR)
    except FileNotFoundError as error:
        raise _missing(path) from error
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise _damaged(path, f"it is no image that can be read ({error})") from error
    pixels = np.asarray(image, np.float32).reshape(height, width, channels)
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))[None] / np.float32(255)


def _npy(path: Path) -> np.ndarray:
    try:
        found = np.load(path, allow_pickle=False)
    except FileNotFoundError as error:
        raise _missing(path) from error
    except (OSError, EOFError, ValueError) as error:
        raise _damaged(path, f"it cannot be read as .npy ({error})") from error
    if not isinstance(found, np.ndarray):
        raise _damaged(path, "it is an archive; call it .npz")
    return np.atleast_1d(found)


def _npz(path: Path) -> dict[str, np.ndarray]:
    try:
        # Opened here, because NumPy leaves the file of a damaged archive open.
        with path.open("rb") as file:
            found = np.load(file, allow_pickle=False)
            if isinstance(found, np.ndarray):
                raise _damaged(path, "it is a single array; call it .npy")
            with found:
                return {name: np.atleast_1d(found[name]) for name in found.files}
    except FileNotFoundError as error:
        raise _missing(path) from error
    except (OSError, EOFError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise _damaged(path, f"it cannot be read as .npz ({error})") from error


def _table(path: Path) -> np.ndarray:
    """The rows of a text table of numbers, with or without a header."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = [row for row in csv.reader(file) if any(cell.strip() for cell in row)]
    except FileNotFoundError as error:
        raise _missing(path) from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise _damaged(path, f"it cannot be read as a table ({error})") from error
    if rows and not _is_numeric(rows[0]):
        rows = rows[1:]
    if not rows:
        raise _damaged(path, "it has no rows")
    for number, row in enumerate(rows, 1):
        if len(row) != len(rows[0]) or not _is_numeric(row):
            raise _damaged(path, f"row {number} is not {len(rows[0])} numbers")
    return np.array(rows, np.float64).astype(np.float32)


def _is_numeric(row: Sequence[str]) -> bool:
    try:
        list(map(float, row))
    except ValueError:
        return False
    return True


def _missing(path: Path) -> ModelError:
    return ModelError(Diagnostic("E0704", f"there is no file {path}"))


def _damaged(path: Path, reason: str) -> ModelError:
    return ModelError(Diagnostic("E0705", f"{path} is damaged: {reason}"))
