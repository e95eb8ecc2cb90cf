"""Rewriting a graph: one walk, inputs first, that every pass uses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from graphdl.operators.tensor import Tensor, adopt, topological

Key = TypeVar("Key")

Replaced = Mapping[Tensor, Tensor]
"""What every tensor before the present one has become."""

Rule = Callable[[Tensor, tuple[Tensor, ...], Replaced], Tensor]
"""From a tensor, what its inputs have become, and what all before it have become, to the tensor that replaces it."""


def rewrite(results: Mapping[Key, Tensor], rule: Rule) -> dict[Key, Tensor]:
    """The results of a graph in which ``rule`` has replaced every tensor. New tensors belong to the node that asked for
    the tensor they replace."""
    replaced: dict[Tensor, Tensor] = {}
    for tensor in topological(results.values()):
        inputs = tuple(replaced[x] for x in tensor.inputs)
        made = rule(tensor, inputs, replaced)
        adopt([made], inputs, tensor.origin)
        replaced[tensor] = made
    return {name: replaced[tensor] for name, tensor in results.items()}


def with_inputs(tensor: Tensor, inputs: tuple[Tensor, ...]) -> Tensor:
    """The same operation on other inputs; the tensor itself where they are its own."""
    if inputs == tensor.inputs:
        return tensor
    return Tensor(tensor.operation, inputs, tensor.shape, tensor.element, tensor.origin, tensor.stored)
