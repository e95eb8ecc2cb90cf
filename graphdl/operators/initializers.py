"""Initializers: their names in the language, and the values that they draw.

The names are plain data, so that ``graphdl check`` need not import NumPy. Conventions are PyTorch's: filters are
``[out, in, height, width]``. A matrix, however, is ``[n, units]`` as in ``x @ W``, so its fan-in comes first.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from graphdl.graph.model import Initializer
from graphdl.graph.types import Shape

if TYPE_CHECKING:
    import numpy as np

INITIALIZERS: dict[str, dict[str, float | None]] = {
    "zeros": {},
    "ones": {},
    "constant": {"value": None},
    "normal": {"mean": 0.0, "sd": 1.0},
    "truncated_normal": {"mean": 0.0, "sd": 1.0, "low": -2.0, "high": 2.0},
    "uniform": {"low": 0.0, "high": 1.0},
    "glorot_uniform": {"gain": 1.0},
    "glorot_normal": {"gain": 1.0},
    "he_uniform": {"slope": 0.0},
    "he_normal": {"slope": 0.0},
    "lecun_uniform": {},
    "lecun_normal": {},
    "orthogonal": {"gain": 1.0},
    "sparse": {"sparsity": None, "sd": 0.01},
    "identity": {},
}
"""The parameters of each initializer, in order, with their defaults; None if a parameter is required."""


def fans(shape: Shape) -> tuple[int, int]:
    """The fan-in and the fan-out: the inputs of each output, and the outputs of each input."""
    if len(shape) < 2:
        size = shape[0] if shape else 1
        return size, size
    if len(shape) == 2:
        return shape[0], shape[1]
    field = math.prod(shape[2:])
    return shape[1] * field, shape[0] * field


def initialize(initializer: Initializer, shape: Sequence[int], seed_key: Sequence[int]) -> np.ndarray[Any, Any]:
    """The initial values of a variable: a float32 array of ``shape``.

    The draws depend only on ``seed_key``, the run's seed and a key of the variable, and not on earlier draws.

    Sources: Glorot and Bengio 2010 (``glorot``), He et al. 2015 (``he``; ``slope`` is that of a leaky ReLU), LeCun et
    al. 1998 (``lecun``), Saxe et al. 2014 (``orthogonal``), Martens 2010 (``sparse``), Zagoruyko and Komodakis 2017
    (``identity`` of filters).

    Raises:
        KeyError: the initializer is unknown.
    """
    import numpy as np

    name, arguments = initializer.name, initializer.arguments
    shape = tuple(shape)
    random = np.random.Generator(np.random.Philox(np.random.SeedSequence([abs(int(k)) for k in seed_key])))
    fan_in, fan_out = fans(shape)
    if name == "values":
        values = np.asarray(arguments).reshape(shape)
    elif name in ("zeros", "ones", "constant"):
        values = np.full(shape, {"zeros": 0.0, "ones": 1.0}.get(name) if name != "constant" else arguments[0])
    elif name == "uniform":
        values = random.uniform(arguments[0], arguments[1], shape)
    elif name == "normal":
        values = random.normal(arguments[0], arguments[1], shape)
    elif name == "truncated_normal":
        values = _truncated(random, shape, *arguments)
    elif name.startswith("glorot"):
        values = _spread(random, name, shape, arguments[0] * math.sqrt(2.0 / (fan_in + fan_out)))
    elif name.startswith("he"):
        values = _spread(random, name, shape, math.sqrt(2.0 / ((1.0 + arguments[0] ** 2) * fan_in)))
    elif name.startswith("lecun"):
        values = _spread(random, name, shape, math.sqrt(1.0 / fan_in))
    elif name == "orthogonal":
        values = _orthogonal(random, shape) * arguments[0]
    elif name == "sparse":
        values = _sparse(random, shape, *arguments)
    elif name == "identity":
        values = _identity(shape)
    else:
        raise KeyError(name)
    return np.asarray(values, dtype=np.float32, order="C")


def _spread(random: Any, name: str, shape: Shape, deviation: float) -> Any:
    """Draws with the standard deviation ``deviation``: uniform if ``name`` ends in "uniform", else normal."""
    if name.endswith("uniform"):
        bound = math.sqrt(3.0) * deviation
        return random.uniform(-bound, bound, shape)
    return random.normal(0.0, deviation, shape)


def _truncated(random: Any, shape: Shape, mean: float, deviation: float, low: float, high: float) -> Any:
    """Normal draws between ``low`` and ``high``.

    Values outside are drawn again, up to 64 times, and then clipped.
    """
    import numpy as np

    values = random.normal(mean, deviation, shape)
    for _ in range(64):
        outside = (values < low) | (values > high)
        if not outside.any():
            break
        values = np.where(outside, random.normal(mean, deviation, shape), values)
    return np.clip(values, low, high)


def _orthogonal(random: Any, shape: Shape) -> Any:
    """A matrix with orthonormal rows or columns, whichever are fewer. Dimensions after the first count as columns."""
    import numpy as np

    if len(shape) < 2:
        return np.ones(shape)
    rows, columns = shape[0], math.prod(shape[1:])
    draws = random.normal(size=(max(rows, columns), min(rows, columns)))
    q, r = np.linalg.qr(draws)
    q = q * np.sign(np.diagonal(r))
    return (q if rows >= columns else q.T).reshape(shape)


def _sparse(random: Any, shape: Shape, sparsity: float, deviation: float) -> Any:
    """Normal draws, of which each unit has the share ``sparsity`` as zeros, at places of its own."""
    import numpy as np

    values = random.normal(0.0, deviation, shape)
    if not shape:
        return values
    rows = values.T if len(shape) == 2 else values.reshape(shape[0], -1)  # one for each unit
    zeros = math.ceil(min(max(sparsity, 0.0), 1.0) * rows.shape[1])
    places = random.permuted(np.tile(np.arange(rows.shape[1]), (rows.shape[0], 1)), axis=1)
    rows = np.where(places < zeros, 0.0, rows)
    return rows.T if len(shape) == 2 else rows.reshape(shape)


def _identity(shape: Shape) -> Any:
    """The matrix that changes nothing. Filters have a 1 in the middle of the k-th channel of the k-th filter."""
    import numpy as np

    if len(shape) <= 2:
        rows, columns, *_ = (*shape, 1, 1)
        return np.eye(rows, columns).reshape(shape)
    values = np.zeros(shape)
    for k in range(min(shape[:2])):
        values[(k, k, *(n // 2 for n in shape[2:]))] = 1.0
    return values
