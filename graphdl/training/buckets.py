"""Training in buckets: the same net with shorter inputs, for batches of shorter examples."""

from __future__ import annotations

from collections.abc import Mapping

from graphdl.data.dataset import DataSet
from graphdl.diagnostics import Diagnostic, ModelError
from graphdl.graph.types import TensorType
from graphdl.training.network import Network


def shorter_inputs(
    network: Network, inputs: Mapping[str, TensorType], dataset: DataSet
) -> dict[int, dict[str, TensorType]]:
    """The types of the inputs in each of a data set's buckets, by length, but for the longest.

    Raises:
        ModelError: E0703, with another length the net has other variables, or an input whose first dimension is not
            this length differs.
    """
    found: dict[int, dict[str, TensorType]] = {}
    buckets = dataset.buckets
    for length in buckets.lengths[:-1] if buckets is not None else ():
        assert buckets is not None
        graph, usual = network.resized(((buckets.name, length),)), network.training
        at = f"with {buckets.name} = {length}"
        for before, after in ((usual.parameters, graph.parameters), (usual.states, graph.states)):
            for path in sorted(before.keys() | after.keys()):
                shapes = [variables[path].type if path in variables else "none" for variables in (after, before)]
                if shapes[0] != shapes[1]:
                    raise _refused(dataset, f"'{path}' is {shapes[0]} {at}, and {shapes[1]} otherwise")
        found[length] = {name: graph.inputs[name].type for name in inputs}
        for name, kind in found[length].items():
            full = inputs[name]
            is_cut = full.shape[:1] == (buckets.lengths[-1],) and kind.shape == (length, *full.shape[1:])
            if (kind.shape != full.shape and not is_cut) or kind.classes != full.classes:
                raise _refused(dataset, f"the input '{name}' is {kind} {at}, and {full} otherwise")
    return found


def _refused(dataset: DataSet, what: str) -> ModelError:
    return ModelError(
        Diagnostic(
            "E0703",
            f"the net cannot be trained in the buckets of '{dataset.name}': {what}",
            dataset.span,
            notes=("all buckets train the same weights; sequences are the first dimension of their inputs",),
        )
    )
