"""The node tests of the ``onnx`` package, through import and prediction; writes the table of ``docs/onnx.md``.

``python tools/onnx_nodes.py`` runs all of them. ``-k TEXT`` runs those whose names contain a text, and writes nothing.
Inputs whose values decide the form of the net (the shape of a ``Reshape``, the filters of a ``Conv``) are given with
the import; all others are fed.
"""

from __future__ import annotations

import argparse
import importlib
import re
import sys
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from graphdl.diagnostics import ModelError
from graphdl.model import Model, of_imported
from graphdl.onnx import ImportedGraph, UnsupportedError, read
from graphdl.training.inference import predicting

PAGE = Path(__file__).parents[1] / "docs" / "onnx.md"
_FEW_BITS = {10: 2.0**-10, 16: 2.0**-7}
"""The rounding of floats of 16 bits (float16 and bfloat16), which the language computes in single precision."""
_DRAWN = frozenset(["Bernoulli", "RandomUniformLike"])
PASSED, REFUSED, FAILED = "passed", "refused", "failed"


@dataclass(frozen=True)
class Outcome:
    """What became of a test. A net that cannot be imported, or data that cannot be fed, is refused with a reason."""

    name: str
    operator: str
    state: str
    reason: str = ""


def cases(modules: Iterable[str] = ()) -> list[Any]:
    """The tests of these modules of ``onnx.backend.test.case.node``, or all tests."""
    node = importlib.import_module("onnx.backend.test.case.node")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some tests overflow on purpose
        if not modules:
            return list(node.collect_testcases(None))
        for module in modules:
            importlib.import_module(f"{node.__name__}.{module}")
    return list(node._NodeTestCases)


def run(case: Any) -> Outcome:
    """Runs one test."""
    operator = case.model.graph.node[0].op_type
    if "_expanded" in case.name:
        operator = f"{operator_of_expanded(case.name)} (body)"
    try:
        for inputs, outputs in case.data_sets:
            reason = _compare(case, list(inputs), list(outputs))
            if reason and any(node.op_type in _DRAWN for node in case.model.graph.node):
                return Outcome(case.name, operator, REFUSED, "random draws")
            if reason:
                return Outcome(case.name, operator, FAILED, reason)
    except ModelError as error:
        return Outcome(case.name, operator, REFUSED, "; ".join(d.message for d in error.diagnostics))
    except Exception as error:
        return Outcome(case.name, operator, FAILED, f"{type(error).__name__}: {error}")
    return Outcome(case.name, operator, PASSED)


def operator_of_expanded(name: str) -> str:
    return re.sub(r"^test_|_expanded.*$", "", name).split("_")[0]


def imported(model: Any, arrays: Mapping[str, Any]) -> ImportedGraph:
    """The net of a model. Inputs whose values decide its form are given."""
    known: dict[str, Any] = {}
    while True:
        try:
            return read(model, name="test", constants=known)
        except UnsupportedError as error:
            wanted = [name for name in error.unknown if name not in known and name in arrays]
            if not wanted:
                raise
            known.update({name: arrays[name] for name in wanted})


def _compare(case: Any, inputs: Sequence[Any], outputs: Sequence[Any]) -> str:
    """What differs from the expected outputs; an empty text if nothing does."""
    inputs = [_array(x) for x in inputs]
    names = [port.name for port in case.model.graph.input]
    arrays = dict(zip(names, inputs, strict=False))
    net = imported(case.model, arrays)
    model = of_imported(net)
    fed = {}
    for name, port in net.inputs.items():
        array = np.asarray(arrays[name])
        fed[port.name] = array if port.batch == 0 else array[None]
    got = _predicted(model, fed)
    for port, given in zip(case.model.graph.output, outputs, strict=True):
        expected = np.asarray(_array(given))
        found = net.outputs[port.name]
        y = got[found.name]
        if found.batch is None:
            y = y[0]
        elif found.merged:
            place = found.batch + (found.merged == "before")
            y = np.moveaxis(y, 0, place).reshape(np.shape(expected))
        else:
            y = np.moveaxis(y, 0, found.batch)
        few = _FEW_BITS.get(port.type.tensor_type.elem_type, 0.0)
        reason = _difference(y, expected, max(case.rtol, few), max(case.atol, few))
        if reason:
            return f"{port.name}: {reason}"
    return ""


def _predicted(model: Model, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The outputs. Unlike ``predict`` this accepts NaN and infinities, which some tests have as inputs."""
    types = {name: value.type for name, value in model.module_graph.inputs.items()}
    finite, given = dict(arrays), {}
    for name, array in arrays.items():
        if types[name].element == "float":
            with np.errstate(over="ignore"):
                given[name] = np.ascontiguousarray(array, np.float32)
            finite[name] = np.zeros(array.shape, np.float32)
    executor, feeds = predicting(model.network, finite)
    executor.run({name: given.get(name, array) for name, array in feeds.items()})
    return {name: executor.fetch(name) for name in model.module_graph.outputs}


def _array(given: Any) -> Any:
    """The array of an input or output of a test. Some are given as messages."""
    helper = importlib.import_module("onnx.numpy_helper")
    if type(given).__name__ == "TensorProto":
        given = helper.to_array(given)
    if isinstance(given, np.ndarray) and given.dtype.name == "bfloat16":
        return given.astype(np.float32)
    return given


def _difference(found: np.ndarray, expected: np.ndarray, rtol: float, atol: float) -> str:
    if found.shape != expected.shape:
        return f"shape {found.shape}, expected {expected.shape}"
    kinds = {"f": "f", "V": "f", "i": "i", "u": "i", "b": "b"}
    if kinds.get(expected.dtype.kind) != kinds[found.dtype.kind]:
        return f"elements {found.dtype}, expected {expected.dtype}"
    if expected.dtype.kind in "iub":
        return "" if (found == expected).all() else f"{found.ravel()[:4]} is not {expected.ravel()[:4]}"
    wide = expected.astype(np.float64)
    close = np.isclose(found.astype(np.float64), wide, rtol=rtol, atol=atol, equal_nan=True)
    if close.all():
        return ""
    with np.errstate(invalid="ignore"):
        worst = np.abs(found.astype(np.float64) - wide)[~close]
    return f"{int((~close).sum())} of {close.size} elements differ, by up to {np.max(worst):.3g}"


_REASONS = (
    ("elements of the type", "element types"),
    ("without elements", "tensors without elements"),
    ("it has no elements", "tensors without elements"),
    ("it does not depend on any input", "computed during the import"),
    ("it is no tensor", "sequences and optional values"),
    ("its result is no tensor", "sequences and optional values"),
    ("ints of 32 bits", "ints of more than 32 bits"),
    ("this operator is not supported", "not supported"),
)
"""Parts of messages, and what the table says."""


def _cause(outcome: Outcome) -> str:
    for part, said in _REASONS:
        if part in outcome.reason:
            return said
    return outcome.reason.rpartition("): ")[2].partition(";")[0]


def table(outcomes: Sequence[Outcome]) -> str:
    """The table of the page."""
    by_operator: dict[str, list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        by_operator[outcome.operator].append(outcome)
    lines = ["| operator | passed | not applicable | failed |", "| --- | --- | --- | --- |"]
    totals = Counter(outcome.state for outcome in outcomes)
    for operator, found in sorted(by_operator.items(), key=lambda item: item[0].lower()):
        counts = Counter(outcome.state for outcome in found)
        causes = Counter(_cause(outcome) for outcome in found if outcome.state == REFUSED)
        why = "; ".join(f"{count} {cause}" for cause, count in sorted(causes.items()))
        lines.append(f"| {operator} | {counts[PASSED] or ''} | {why} | {counts[FAILED] or ''} |")
    lines.append(f"| **all** | **{totals[PASSED]}** | **{totals[REFUSED]}** | **{totals[FAILED]}** |")
    return "\n".join(lines)


def main(words: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-k", dest="part", help="only tests whose names match this expression")
    parser.add_argument("-m", dest="modules", nargs="*", default=(), help="only these modules of the package's tests")
    parser.add_argument("-v", dest="verbose", action="store_true", help="print every outcome")
    chosen = parser.parse_args(words)
    found = []
    for case in cases(chosen.modules):
        if case.model is None or (chosen.part and not re.search(chosen.part, case.name)):
            continue
        outcome = run(case)
        found.append(outcome)
        if chosen.verbose or outcome.state == FAILED:
            print(f"{outcome.name}: {outcome.state} {outcome.reason}", flush=True)
    print(dict(Counter(outcome.state for outcome in found)))
    if not chosen.part and not chosen.modules:
        marks = re.compile(r"(<!-- nodes -->\n).*?(<!-- end -->)", re.DOTALL)
        text = table(found)
        page = marks.sub(lambda match: f"{match[1]}{text}\n{match[2]}", PAGE.read_text(encoding="utf-8"))
        PAGE.write_text(page, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
