"""The parameters and the states of a net as arrays, by path."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, MutableMapping

import numpy as np

from graphdl.graph.model import ModuleGraph, Variable
from graphdl.suggest import did_you_mean
from graphdl.training.network import Network


class Values(MutableMapping[str, np.ndarray]):
    """Variables of a net by path."""

    def __init__(self, network: Network, chosen: Callable[[ModuleGraph], Mapping[str, Variable]], kind: str) -> None:
        self._network = network
        graphs = (network.training, network.inference)
        self._paths = list(dict.fromkeys(path for graph in graphs for path in chosen(graph)))
        self._kind = kind

    def __getitem__(self, path: str) -> np.ndarray:
        return self._network.read(self._known(path))

    def __setitem__(self, path: str, value: object) -> None:
        """Sets a variable.

        Raises:
            KeyError: the net has no such variable.
            ValueError: the shape differs.
        """
        self._network.write(self._known(path), value)

    def __delitem__(self, path: str) -> None:
        raise TypeError(f"a {self._kind} of a net cannot be deleted")

    def __iter__(self) -> Iterator[str]:
        return iter(self._paths)

    def __len__(self) -> int:
        return len(self._paths)

    def __repr__(self) -> str:
        return "{" + ", ".join(f"{path}: {self._network.variables[path].type}" for path in self) + "}"

    def _known(self, path: str) -> str:
        if path not in self._paths:
            hint = did_you_mean(path, self._paths)
            raise KeyError(f"the net has no {self._kind} '{path}'" + (f"; {hint}" if hint else ""))
        return path
