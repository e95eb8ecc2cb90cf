"""Copies of weights inside a net, such as those of a target network."""

from __future__ import annotations

import numpy as np

from graphdl.diagnostics import Diagnostic, ModelError
from graphdl.suggest import did_you_mean
from graphdl.training.network import Network


def copy(network: Network, target: str, source: str, share: float) -> None:
    """Moves the variables that match ``target`` by ``share`` towards those that match ``source``.

    The text in place of the ``*`` of both patterns is the same. All variables are read before one is written.

    Raises:
        ModelError: E0622, no variable matches a pattern, or one has no counterpart; E0609, two shapes differ.
    """
    targets, sources = _matched(network, target), _matched(network, source)
    moved: dict[str, np.ndarray] = {}
    for rest, path in targets.items():
        if rest not in sources:
            wanted = source.replace("*", rest)
            raise ModelError(Diagnostic("E0622", f"'{path}' has no counterpart: the net has no variable '{wanted}'"))
        before, value = network.read(path), network.read(sources[rest])
        if before.shape != value.shape:
            shapes = f"'{path}' is {list(before.shape)}, and '{sources[rest]}' is {list(value.shape)}"
            raise ModelError(Diagnostic("E0609", shapes))
        moved[path] = value if share == 1 else before + np.float32(share) * (value - before)
    for path, value in moved.items():
        network.write(path, value)


def _matched(network: Network, pattern: str) -> dict[str, str]:
    """The paths that match a pattern, by the text in place of its ``*``."""
    first, star, last = pattern.partition("*")
    found = {
        path[len(first) : len(path) - len(last)]: path
        for path in network.variables
        if path.startswith(first)
        and path.endswith(last)
        and (len(path) >= len(pattern) - 1 if star else path == pattern)
    }
    if not found:
        help = did_you_mean(pattern, network.variables)
        raise ModelError(Diagnostic("E0622", f"no parameter or state of the net matches '{pattern}'", help=help))
    return found
