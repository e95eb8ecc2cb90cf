"""Rewriting of graphs: one walk, inputs first, that every pass uses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from graphdl.operators.tensor import Tensor, adopt, topological

Key = TypeVar("Key")

Replaced = Mapping[Tensor, Tensor]
"""Maps every tensor before the current one to its replacement."""

Rule = Callable[[Tensor, tuple[Tensor, ...], Replaced], Tensor | None]
"""Maps a tensor, the replacements of its inputs, and the replacements of all tensors before it, to its own replacement.
None keeps the operation, with the new inputs.
"""


def rewrite(results: Mapping[Key, Tensor], rule: Rule) -> dict[Key, Tensor]:
    """Returns the results of a graph in which ``rule`` has replaced every tensor.

    A new tensor gets the origin of the tensor that it replaces.
    """
    replaced: dict[Tensor, Tensor] = {}
    for tensor in topological(results.values()):
        inputs = tuple([replaced[x] for x in tensor.inputs])
        made = rule(tensor, inputs, replaced)
        if made is None:
            made = with_inputs(tensor, inputs)
        elif made is not tensor:
            adopt([made], inputs, tensor.origin)
        replaced[tensor] = made
    return {name: replaced[tensor] for name, tensor in results.items()}


def with_inputs(tensor: Tensor, inputs: tuple[Tensor, ...]) -> Tensor:
    """The operation of ``tensor`` on other inputs; the tensor itself if the inputs are its own."""
    if inputs == tensor.inputs:
        return tensor
    return Tensor(tensor.operation, inputs, tensor.shape, tensor.element, tensor.origin, tensor.stored)
