"""Inference, lowering and every operation agree on element types; a disagreement names the value."""

from __future__ import annotations

from typing import Any

import pytest

from graphdl.compiler.build import build
from graphdl.compiler.lowering import lower
from graphdl.compiler.program import Target
from graphdl.graph.model import ModuleGraph
from graphdl.language import Source, expand
from graphdl.operators import PRIMITIVES
from graphdl.operators.elementwise import ROWS, cast
from graphdl.operators.primitive import Primitive
from graphdl.operators.reduction import Reduction
from graphdl.operators.tensor import Tensor, feed

CPU = Target(kind="cpu", vector_width=8, compute_units=2)


def graph(body: str) -> ModuleGraph:
    return expand(Source("a.net", f"net n() {{\n{body}\n}}\n"))


@pytest.mark.parametrize("wrong", ["element", "shape"])
def test_a_lowering_that_breaks_the_promise_is_named(wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    negative = PRIMITIVES["negative"]

    def lowered(node: Any) -> list[Tensor]:
        (x,) = node.inputs
        return [cast(x, "float") if wrong == "element" else Tensor(x.operation, x.inputs, (2, 1, 3), x.element)]

    breaking = Primitive("negative", negative.inputs, negative.infer, lowered)
    monkeypatch.setitem(PRIMITIVES, "negative", breaking)  # type: ignore[misc]
    with pytest.raises(AssertionError) as caught:
        lower(graph("    input k: int[3]\n    lower = -k\n    output lower"), 2)
    assert str(caught.value).startswith("'lower' (negative, a.net:3:13) was lowered to <")
    assert str(caught.value).endswith("and inferred as [2, 3] int")


FLOAT, INT, BOOL = feed("x", (2, 3)), feed("k", (2, 3), "int"), feed("b", (2, 3), "bool")


@pytest.mark.parametrize(
    "tensor",
    [
        Tensor(ROWS["add"].operation, (FLOAT, INT), (2, 3)),
        Tensor(ROWS["where"].operation, (INT, FLOAT, FLOAT), (2, 3)),
        Tensor(ROWS["less"].operation, (INT, INT), (2, 3), "int"),
        Tensor(Reduction("argmax", (1,)), (BOOL,), (2, 1), "int"),
        Tensor(Reduction("sum", (1,)), (INT,), (2, 1)),
    ],
    ids=["operands", "mask", "result", "bools", "reduction"],
)
def test_operands_of_another_type_are_refused(tensor: Tensor) -> None:
    with pytest.raises(AssertionError, match="a tensor: no operation computes <"):
        build({"y": tensor}, {}, CPU)
