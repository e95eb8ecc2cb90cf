"""Exported nets, run by ONNX Runtime."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import onnxruntime

from graphdl.model import Model
from graphdl.onnx.exporting import export


def session(model: Model) -> Any:
    """The exported net, loaded by ONNX Runtime."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    written = export(model.module_graph, model.network.read).SerializeToString()
    return onnxruntime.InferenceSession(written, options, providers=["CPUExecutionProvider"])


def nodes_of(model: Model) -> dict[str, int]:
    """How many nodes of each operator the exported net has."""
    return dict(Counter(node.op_type for node in export(model.module_graph, model.network.read).graph.node))


def feeds(model: Model, names: list[str], count: int) -> dict[str, np.ndarray]:
    """Random inputs of the right types. Ints are around 0."""
    random = np.random.default_rng(count)
    made = {}
    for name in names:
        kind = model.module_graph.inputs[name].type
        shape = (count, *kind.shape)
        if kind.element == "bool":
            made[name] = random.random(shape) < 0.5
        elif kind.element == "int":
            first, last = (0, kind.classes) if kind.classes is not None else (-4, 9)
            made[name] = random.integers(first, last, shape).astype(np.int32)
        else:
            made[name] = random.normal(size=shape).astype(np.float32)
    return made


def enliven(model: Model) -> None:
    """Gives the weights sizes with which outputs depend on the inputs through any number of layers (He et al., 2015;
    smaller ones beside batch normalization, whose running variances are around 1), and states other values than their
    initial ones.
    """
    gain = 1.2 if model.states else 2.0
    for path, weights in model.parameters.items():
        if weights.ndim > 1 and weights.std() > 0:
            inward = weights.shape[0] if weights.ndim == 2 else weights[0].size
            model.parameters[path] = weights * ((gain / inward) ** 0.5 / weights.std())
    for number, (path, state) in enumerate(model.states.items()):
        model.states[path] = state + 0.1 * np.random.default_rng(number).normal(size=state.shape)


def agree(model: Model, *, tolerance: float, but: tuple[str, ...] = ()) -> None:
    """Asserts that ONNX Runtime computes the outputs of a net, for two batch sizes.

    ``tolerance`` is relative to the largest value of each output. Outputs of ``but`` are compared in shape only.
    """
    enliven(model)
    runtime = session(model)
    ports = [port.name for port in runtime.get_inputs()], [port.name for port in runtime.get_outputs()]
    given = feeds(model, ports[0], 3)
    wanted = model.run(given)
    numbers = [values for values in wanted.values() if not np.isin(values, (0, 1)).all()]
    assert not given or not numbers or any((values[0] != values[1]).any() for values in numbers)
    for count in (1, 3):
        part = {name: values[:count] for name, values in given.items()}
        alone = model.run(part) if model.network.mixes_examples else wanted
        found = dict(zip(ports[1], runtime.run(None, part), strict=True))
        assert list(found) == list(wanted)
        for name in wanted:
            values = alone[name][:count]
            assert found[name].dtype == values.dtype, name
            assert found[name].shape == ((count, *values.shape[1:]) if given else values.shape), name
            if name not in but:
                largest = np.abs(values[np.isfinite(values)].astype(np.float64)).max(initial=0)
                np.testing.assert_allclose(
                    found[name].astype(np.float64), values.astype(np.float64), rtol=0, atol=tolerance * largest,
                    err_msg=name,
                )  # fmt: skip
