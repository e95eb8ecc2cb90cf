"""Checks of arrays and data fields against the types of a net's inputs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import numpy as np
from numpy.typing import ArrayLike

from graphdl.data.dataset import DTYPES, Array, ArrayField, DataSet, Split
from graphdl.diagnostics import Diagnostic, ModelError
from graphdl.graph.types import TensorType
from graphdl.source import Span
from graphdl.suggest import did_you_mean

_KINDS = {"f": "floats", "i": "ints", "u": "ints", "b": "bools"}
_FITTING = {"float": "fiub", "int": "iub", "bool": "b"}
"""The NumPy kinds that each element accepts: those that can be converted without loss."""
_LARGEST_FLOAT, _LARGEST_HALF = (float(np.finfo(kind).max) for kind in (np.float32, np.float16))


def check_feed(
    types: Mapping[str, TensorType], arrays: Mapping[str, ArrayLike], *, spans: Mapping[str, Span] | None = None
) -> None:
    """Checks a user's arrays, with the examples as first dimension, against the inputs that they feed.

    ``spans`` are the declarations of the inputs. All errors are collected.

    Raises:
        ModelError: an array is missing or feeds no input (E0713), has another shape or number of examples (E0714) or
            kind of element (E0715), contains a number that is no class (E0716) or is not finite (E0717).
    """
    as_feed(types, arrays, spans=spans)


def as_feed(
    types: Mapping[str, TensorType], arrays: Mapping[str, ArrayLike], *, spans: Mapping[str, Span] | None = None
) -> dict[str, Array]:
    """The arrays in the order of ``types``, contiguous, with the NumPy types that are fed. Checked as by
    ``check_feed``.
    """
    spans = spans or {}
    complaints = list(_names(types, arrays, spans)) if arrays.keys() != types.keys() else []
    values = {name: np.asarray(arrays[name]) for name in types if name in arrays}
    batches: dict[str, int] = {}
    for name, array in values.items():
        found = _shape(name, types[name], array, spans) or _element(name, types[name], array, spans)
        if found is None:
            found = value_fault(name, types[name], array, spans.get(name))
        if found is not None:
            complaints.append(found)
        elif array.ndim:
            batches[name] = len(array)
    if len(set(batches.values())) > 1:
        counts = ", ".join(f"'{name}' has {count}" for name, count in batches.items())
        complaints.append(
            Diagnostic(
                "E0714", f"the inputs differ in their number of examples: {counts}", spans.get(next(iter(batches)))
            )
        )
    if complaints:
        raise ModelError(*complaints)
    return {name: np.ascontiguousarray(array, DTYPES[types[name].element]) for name, array in values.items()}


def from_arrays(
    types: Mapping[str, TensorType], arrays: Mapping[str, ArrayLike], *, spans: Mapping[str, Span] | None = None
) -> DataSet:
    """A user's arrays as a data set with the single split ``train``. Checked as by ``check_feed``."""
    fields = {name: ArrayField(array, types[name]) for name, array in as_feed(types, arrays, spans=spans).items()}
    return DataSet("arrays", {"train": Split("train", fields)})


def _names(types: Mapping[str, TensorType], arrays: Iterable[str], spans: Mapping[str, Span]) -> Iterable[Diagnostic]:
    given = list(arrays)
    for name in types:
        if name not in given:
            yield Diagnostic(
                "E0713",
                f"the input '{name}' ({types[name]}) is fed by nothing",
                spans.get(name),
                notes=(f"given: {', '.join(given) or 'nothing'}",),
            )
    for name in given:
        if name not in types:
            yield Diagnostic(
                "E0713",
                f"the net has no input '{name}'",
                notes=(f"its inputs are: {', '.join(f'{key}: {kind}' for key, kind in types.items())}",),
                help=did_you_mean(name, list(types)),
            )


def _shape(name: str, kind: TensorType, array: Array, spans: Mapping[str, Span]) -> Diagnostic | None:
    if array.ndim and array.shape[1:] == kind.shape and len(array):
        return None
    expected = "[examples" + "".join(f", {size}" for size in kind.shape) + "]"
    return Diagnostic(
        "E0714",
        f"the input '{name}' is {kind}: expected an array {expected}, found {list(array.shape)}",
        spans.get(name),
        label=f"declared {kind}",
        help=_shape_help(kind.shape, array.shape),
    )


def _shape_help(expected: tuple[int, ...], found: tuple[int, ...]) -> str | None:
    """A help text with the likely correction of a wrong shape."""
    if found == expected:
        return "the first dimension counts the examples; feed one as x[None]"
    if len(expected) == 3:
        channels, height, width = expected
        if channels == 1 and found[1:] == (height, width):
            return "add the channel dimension: x[:, None]"
        if found[1:] == (height, width, channels):
            return "channels come first: x.transpose(0, 3, 1, 2)"
    if found[1:] == (*expected, 1) or (found[1:2] and found[1:] == (1, *expected)):
        return f"drop the dimension of length 1: x.reshape(-1{''.join(f', {size}' for size in expected)})"
    if len(found) > 1 and int(np.prod(found[1:])) == int(np.prod(expected)):
        return f"the number of elements is right: x.reshape(-1{''.join(f', {size}' for size in expected)})"
    return None


def _element(name: str, kind: TensorType, array: Array, spans: Mapping[str, Span]) -> Diagnostic | None:
    if array.dtype.kind in _FITTING[kind.element]:
        return None
    expected = "class numbers" if kind.classes is not None else _KINDS[DTYPES[kind.element].kind]
    found = _KINDS.get(array.dtype.kind, "elements")
    cure = None
    if array.dtype.kind == "f" and kind.element == "int":
        cure = "convert it: x.astype(int)"
    elif kind.element == "bool":
        cure = "compare: x != 0"
    return Diagnostic(
        "E0715",
        f"the input '{name}' is {kind}: expected {expected}, found {found} ({array.dtype})",
        spans.get(name),
        label=f"declared {kind}",
        help=cure,
    )


def value_fault(
    name: str,
    kind: TensorType,
    array: Array,
    span: Span | None = None,
    example: Callable[[int], str] | None = None,
) -> Diagnostic | None:
    """The error about the first value that an input cannot accept, E0716 or E0717; None if there is none.

    ``example`` describes the origin of each row of ``array``, for messages in which its index says nothing.
    """
    low: float
    high: float
    if kind.classes is not None:
        code, low, high, expected = "E0716", 0, kind.classes - 1, f"0 to {kind.classes - 1}"
    elif kind.limit is not None:
        code, low, high = "E0716", 0, kind.limit - 1
        expected = f"0 to {high}, because it is an index into {kind.limit} places"
    elif kind.element == "float" and array.dtype.kind == "f":
        high = _LARGEST_HALF if array.dtype.itemsize == 2 else _LARGEST_FLOAT
        code, low, expected = "E0717", -high, "finite numbers of 32 bits"
    elif kind.element == "int" and array.dtype.kind in "iu":
        code, low, high, expected = "E0717", -(2**31), 2**31 - 1, "ints of 32 bits"
    else:
        return None
    # A comparison with NaN is false, and the minimum and maximum are NaN if any element is.
    if not array.size or (np.minimum.reduce(array, None) >= low and np.maximum.reduce(array, None) <= high):
        return None
    wrong = ~((array >= low) & (array <= high))
    place = np.unravel_index(int(np.argmax(wrong)), wrong.shape)
    count = int(wrong.sum())
    where = f"at {list(map(int, place))}"
    if example is not None:
        where = f"in {example(int(place[0]))}" + (f", at {list(map(int, place[1:]))}" if len(place) > 1 else "")
    return Diagnostic(
        code,
        f"the input '{name}' is {kind}: expected {expected}, found {array[place]} {where}",
        span,
        notes=(f"{count} of {array.size} elements of '{name}' are off",) if count > 1 else (),
    )
