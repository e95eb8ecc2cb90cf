"""The graph builder for expansion: its errors become faults with a place in the text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from graphdl.graph.builder import Body, Builder
from graphdl.graph.limits import NODES
from graphdl.graph.model import Module, Node, Value
from graphdl.graph.operator import GraphError
from graphdl.graph.types import TensorType
from graphdl.language.expansion.faults import Fault, Poisoned
from graphdl.source import Span


def fault_of(error: GraphError, span: Span) -> Fault:
    """Converts an error of the graph to a fault at ``span``."""
    return Fault(error.code, error.message, span, help=error.help)


@contextmanager
def at(span: Span) -> Iterator[None]:
    """Converts errors of the graph in the block to faults at ``span``."""
    try:
        yield
    except GraphError as error:
        raise fault_of(error, span) from None


class PlacingBuilder(Builder):
    """Builds the graph of a text."""

    def node(
        self,
        operator: str,
        inputs: Sequence[Value],
        attributes: Mapping[str, Any],
        types: Sequence[TensorType],
        module: Module,
        span: Span,
        *,
        batched: bool | None = None,
        name: str | None = None,
        body: Body | None = None,
    ) -> Node:
        """Like ``Builder.node``. Raises Fault, or Poisoned if the net was reported as too large before."""
        if self.count > NODES:
            raise Poisoned
        try:
            return super().node(
                operator, inputs, attributes, types, module, span, batched=batched, name=name, body=body
            )
        except GraphError as error:
            if self.count == NODES:
                self.count += 1
            raise fault_of(error, span) from None
