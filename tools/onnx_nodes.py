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
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from graphdl.diagnostics import ModelError
from graphdl.model import of_imported
from graphdl.onnx import Imported, UnsupportedError, read

PAGE = Path(__file__).parents[1] / "docs" / "onnx.md"
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
            if reason:
                return Outcome(case.name, operator, FAILED, reason)
    except ModelError as error:
        return Outcome(case.name, operator, REFUSED, "; ".join(d.message for d in error.diagnostics))
    except Exception as error:
        return Outcome(case.name, operator, FAILED, f"{type(error).__name__}: {error}")
    return Outcome(case.name, operator, PASSED)


def operator_of_expanded(name: str) -> str:
    return re.sub(r"^test_|_expanded.*$", "", name).split("_")[0]


def imported(model: Any, arrays: Mapping[str, Any]) -> Imported:
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
    names = [port.name for port in case.model.graph.input]
    arrays = dict(zip(names, inputs, strict=False))
    net = imported(case.model, arrays)
    model = of_imported(net)
    fed = {}
    for name, port in net.inputs.items():
        array = np.asarray(arrays[name])
        fed[port.name] = array if port.batch == 0 else array[None]
    got = model.predict(**fed)
    for port, expected in zip(case.model.graph.output, outputs, strict=True):
        found = net.outputs[port.name]
        y = got[found.name]
        if found.batch is None:
            y = y[0]
        elif found.merged:
            y = np.moveaxis(y, 0, found.batch).reshape(np.shape(expected))
        else:
            y = np.moveaxis(y, 0, found.batch)
        reason = _difference(y, np.asarray(expected), case.rtol, case.atol)
        if reason:
            return f"{port.name}: {reason}"
    return ""


def _difference(found: np.ndarray, expected: np.ndarray, rtol: float, atol: float) -> str:
    if found.shape != expected.shape:
        return f"shape {found.shape}, expected {expected.shape}"
    kinds = {"f": "f", "V": "f", "i": "i", "u": "i", "b": "b"}
    if kinds.get(expected.dtype.kind) != kinds[found.dtype.kind]:
        return f"elements {found.dtype}, expected {expected.dtype}"
    if expected.dtype.kind in "iub":
        return "" if (found == expected).all() else f"{found.ravel()[:4]} is not {expected.ravel()[:4]}"
    # the language computes in single precision: half of it is what a result of half precision can differ by
    half = 1e-3 if expected.dtype.itemsize < 4 else 0.0
    wide = expected.astype(np.float64)
    close = np.isclose(found.astype(np.float64), wide, rtol=max(rtol, half), atol=max(atol, half), equal_nan=True)
    if close.all():
        return ""
    worst = np.abs(found.astype(np.float64) - wide)[~close]
    return f"{int((~close).sum())} of {close.size} elements differ, by up to {np.max(worst):.3g}"


def main(words: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-k", dest="part", help="only tests whose names contain this text")
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
    counts: dict[str, int] = defaultdict(int)
    for outcome in found:
        counts[outcome.state] += 1
    print(dict(counts))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
