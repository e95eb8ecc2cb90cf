"""The chain rule, measured: the gradient of a parameter as the sum over its paths to the losses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphdl.compiler.lowering import Lowered, lower
from graphdl.compiler.reverse import gradients, pull_back
from graphdl.diagnostics import Diagnostic, ModelError
from graphdl.graph.model import Value
from graphdl.graph.paths import Link, Path, PathGraph
from graphdl.operators.reduction import reduce
from graphdl.operators.structure import concat, reshape
from graphdl.operators.tensor import Tensor
from graphdl.suggest import did_you_mean
from graphdl.training import inference
from graphdl.training.network import Network
from graphdl.training.program import total_loss

_NORMS = "norms"
_MOST_AT_ONCE = 64


@dataclass(frozen=True)
class PathGradient:
    """One path, and the gradient that flows along it alone."""

    steps: tuple[str, ...]
    """The labels of the steps, from the parameter to the loss."""
    nodes: tuple[int, ...]
    """The numbers of the nodes that compute the tensors on the path."""
    loss: str
    norm: float
    share: float
    """The projection of this gradient on the whole gradient, as a fraction of that. The shares of
    all paths sum to 1.
    """


@dataclass(frozen=True)
class ChainRule:
    """The measurements of a parameter's paths."""

    parameter: str
    count: int
    """The number of paths."""
    paths: tuple[PathGradient, ...]
    """All paths, or the strongest, by falling norm."""
    norm: float
    """The norm of the gradient as training computes it."""
    sum_norm: float
    """The norm of the sum over all paths."""
    error: float
    """The norm of the difference of the two gradients, divided by the gradient's norm."""


def chain(network: Network, parameter: str, arrays: Mapping[str, Any], *, most: int = _MOST_AT_ONCE) -> ChainRule:
    """Measures the gradient along every path from a parameter to the losses, for one batch in training mode.

    With more than ``most`` paths, only the strongest are measured, by the product of the factors by which each link
    scales a gradient's norm. The sum over all paths is then computed link by link (by the distributive law).

    Raises:
        ModelError: E0622, there is no such parameter; E0604, there is no loss; the arrays do not fit the inputs.
    """
    graph = network.training
    if parameter not in graph.parameters:
        raise ModelError(
            Diagnostic(
                "E0622",
                f"the net '{graph.name}' has no parameter '{parameter}'",
                help=did_you_mean(parameter, list(graph.parameters)),
            )
        )
    measuring = _Measuring(network, parameter, inference.example_count(arrays))
    paths = measuring.paths
    count = paths.count()
    if count == 0:
        norms = measuring.run([measuring.squared(measuring.gradient)], arrays)
        return ChainRule(parameter, 0, (), float(np.sqrt(norms[0])), 0.0, float(norms[0] > 0))
    total = measuring.summed()
    chosen = list(paths.paths()) if count <= most else paths.strongest(most, measuring.strengths(arrays))
    whole = measuring.gradient
    wanted = [measuring.squared(whole), measuring.squared(total), measuring.squared(total - whole)]
    along = [measuring.along(path, end) for path, end in chosen]
    if count <= most:
        added = along[0]
        for g in along[1:]:
            added = added + g
        wanted[1:] = [measuring.squared(added), measuring.squared(added - whole)]
    for g in along:
        wanted += [measuring.squared(g), measuring.product(g, whole)]
    norms = measuring.run(wanted, arrays)
    square = max(float(norms[0]), 1e-300)
    found = [
        measuring.described(path, end, float(np.sqrt(norms[3 + 2 * k])), float(norms[4 + 2 * k]) / square)
        for k, (path, end) in enumerate(chosen)
    ]
    found.sort(key=lambda each: -each.norm)
    norm = float(np.sqrt(norms[0]))
    return ChainRule(
        parameter, count, tuple(found), norm, float(np.sqrt(norms[1])), float(np.sqrt(norms[2])) / max(norm, 1e-30)
    )


class _Measuring:
    def __init__(self, network: Network, parameter: str, batch: int) -> None:
        self.network = network
        graph = network.training
        self.paths = PathGraph(graph, parameter)
        self.lowered: Lowered = lower(graph, batch, self.paths.values, unrolled=True)
        plain = network.lower(True, batch)
        (self.gradient,) = gradients(total_loss(plain, tuple(graph.losses)), [plain.parameters[parameter]])
        """The gradient as training computes it."""
        self._names = {id(value): name for name, value in reversed(graph.losses.items())}
        self._partial: dict[tuple[int, ...], Tensor] = {}

    # ------------------------------------------------------------------------------------------- reverse, by links

    def through(self, link: Link, gradient: Tensor) -> Tensor:
        """The gradient at the start of a link, given ``gradient`` at its end, through the link's step alone."""
        tensors = self.lowered.values
        borders = [tensors[value] for value in self.paths.borders[id(link.step)]]
        (found,) = pull_back(tensors[link.target], gradient, [tensors[link.source]], borders)
        return gradient * 0.0 if found is None else found

    def seed(self, end: Value) -> Tensor:
        """d loss / d value of a loss."""
        name = self._names[id(end)]
        (g,) = gradients(self.lowered.losses[name], [self.lowered.values[end]])
        return g

    def along(self, path: Path, end: Value) -> Tensor:
        """The gradient of the parameter along one path. Paths with a common end share its gradients."""
        key: tuple[int, ...] = (id(end),)
        gradient = self._partial.setdefault(key, self.seed(end))
        for link in reversed(path):
            key = (*key, id(link))
            if key not in self._partial:
                self._partial[key] = self.through(link, gradient)
            gradient = self._partial[key]
        return gradient

    def totals(self) -> dict[int, Tensor]:
        """At every tensor on the paths, the sum of the gradients over all paths from it to a loss."""
        totals: dict[int, Tensor] = {}
        for value in self.paths.order():
            parts = [self.seed(end) for end in self.paths.ends if end is value]
            for link in self.paths.links.get(id(value), ()):
                parts.append(self.through(link, totals[id(link.target)]))
            total = parts[0]
            for part in parts[1:]:
                total = total + part
            totals[id(value)] = total
        return totals

    def summed(self) -> Tensor:
        return self.totals()[id(self.paths.start)]

    def strengths(self, arrays: Mapping[str, Any]) -> Any:
        """Measures the factor by which each link scales the norm of a gradient."""
        totals = self.totals()
        links = [link for leaving in self.paths.links.values() for link in leaving]
        wanted = []
        for link in links:
            before = totals[id(link.target)]
            wanted += [self.squared(self.through(link, before)), self.squared(before)]
        norms = self.run(wanted, arrays)
        gains = {id(link): float(np.sqrt(norms[2 * k] / max(norms[2 * k + 1], 1e-30))) for k, link in enumerate(links)}
        return lambda link: gains[id(link)]

    # ------------------------------------------------------------------------------------------------------ numbers

    def squared(self, x: Tensor) -> Tensor:
        return self.product(x, x)

    def product(self, x: Tensor, y: Tensor) -> Tensor:
        product = x * y
        return reduce("sum", product, range(product.rank), keep=False) if product.rank else product

    def run(self, scalars: list[Tensor], arrays: Mapping[str, Any]) -> np.ndarray:
        """The values of scalar tensors for a batch, as float64."""
        packed = concat([reshape(x, (1,)) for x in scalars], 0)
        program = self.network.compiled({_NORMS: packed})
        return inference.run_once(self.network, program, arrays, training=True)[_NORMS].astype(np.float64)

    def described(self, path: Path, end: Value, norm: float, share: float) -> PathGradient:
        return PathGradient(
            tuple(link.step.label for link in path),
            tuple(link.target.node.id for link in path),
            self._names[id(end)],
            norm,
            share,
        )
