"""Variables that are written over their old values: only after everybody has read them, or by way of a copy."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from evaluating import at, everywhere

from graphdl.compiler.expression import Load, Tracer, domain, walk
from graphdl.compiler.fusion import KernelPlan, fuse
from graphdl.compiler.in_place import InPlace, write_in_place
from graphdl.compiler.prepare import prepare
from graphdl.compiler.program import Target
from graphdl.compiler.schedule import order
from graphdl.compiler.simplify import simplify
from graphdl.compiler.strided import memory_operands, row_major_strides
from graphdl.operators.elementwise import apply
from graphdl.operators.index import Index
from graphdl.operators.matmul import matmul
from graphdl.operators.reduction import reduce
from graphdl.operators.structure import reshape, slice_, transpose
from graphdl.operators.tensor import Read, Template, Tensor, feed, read, topological

CPU = Target("cpu", vector_width=8, compute_units=2)


def written(updates: Mapping[str, Tensor], fetches: Mapping[str, Tensor] | None = None) -> InPlace:
    results = {("fetch", name): x for name, x in (fetches or {}).items()}
    results |= {("variable", name): x for name, x in updates.items()}
    results = prepare(simplify(results), CPU)
    operands = {t: memory_operands(t) for t in topological(results.values()) if isinstance(t.operation, Template)}
    return write_in_place(results, fuse(list(results.values()), operands, CPU), operands)


def copies(made: InPlace) -> list[str]:
    """The variables that get their new value by a copy."""
    return sorted(name for (kind, name), x in made.results.items() if kind == "variable" and x.operation.name == "copy")


def sequence(made: InPlace) -> list[KernelPlan]:
    return order(made.plans, made.before, set(made.results.values()))


def check(made: InPlace) -> None:
    """In the order of the launches no kernel reads an old value after it is written over."""
    launched = sequence(made)
    writers = {name: x for (kind, name), x in made.results.items() if kind == "variable"}
    for name, new in writers.items():
        (writer,) = (k for k, plan in enumerate(launched) if new in plan.outputs)
        for k, plan in enumerate(launched):
            for x in plan.inputs:
                if isinstance(x.operation, Read) and x.operation.key == name:
                    assert k <= writer, name


def test_an_update_at_its_own_place_needs_no_copy() -> None:
    w, g = read("w", (6, 4)), feed("g", (6, 4))
    made = written({"w": w - g * 0.1})
    assert copies(made) == []
    assert len(made.plans) == 1


@pytest.mark.parametrize(
    "new",
    [
        lambda w: slice_(w, (5, 0), (-1, 1), (6, 4)) + w,
        lambda w: reshape(transpose(w, (1, 0)), (6, 4)) * 2.0,
        lambda w: w - reduce("max", w, (1,)),
        lambda w: w * slice_(w, (0, 0), (1, 1), (1, 4)),
    ],
    ids=["mirrored", "transposed", "the largest of a row", "the first row"],
)
def test_an_update_that_reads_elsewhere_does_not_overwrite_what_it_reads(new) -> None:
    w = read("w", (6, 4))
    made = written({"w": new(w)})
    check(made)
    tensor = made.results["variable", "w"]
    (maker,) = (plan for plan in made.plans if tensor in plan.outputs)
    assert copies(made) == ["w"] or maker.inputs != [w] or maker.roots == []
    if copies(made):
        assert w not in maker.inputs, "the copy reads the new value, and no more of the old one"


def test_a_mirror_is_copied() -> None:
    w = read("w", (8,))
    made = written({"w": slice_(w, (7,), (-1,), (8,))})
    assert copies(made) == ["w"]
    assert len(made.plans) == 2


def test_a_product_with_itself_is_copied() -> None:
    """The kernel of a product reads all of its operands while it writes."""
    w = read("w", (8, 8))
    assert copies(written({"w": matmul(w, w)})) == ["w"]
    assert copies(written({"w": w - matmul(feed("x", (8, 3)), feed("g", (3, 8))) * 0.1})) == []


def test_readers_come_before_the_writer() -> None:
    w, x = read("w", (8, 8)), feed("x", (5, 8))
    made = written({"w": w * 0.5}, {"y": matmul(x, w), "total": reduce("sum", w, (0, 1))})
    assert copies(made) == []
    check(made)
    (writer,) = (plan for plan in made.plans if made.results["variable", "w"] in plan.outputs)
    readers = [plan for plan in made.plans if w in plan.inputs and plan is not writer]
    assert readers
    assert set(readers) <= set(made.before[writer])


@pytest.mark.parametrize("turned", [False, True])
def test_reductions_of_one_pass_that_lead_to_different_places(turned: bool) -> None:
    """The sum and the maximum share a kernel. Where the sum is turned before it meets the old value, the maximum is, at
    the same moment, written to another place of it."""
    x, w = feed("x", (5, 5, 7)), read("w", (5, 5))
    total = reduce("sum", x, (2,), keep=False)
    total = transpose(total, (1, 0)) if turned else total
    made = written({"w": reduce("max", x, (2,), keep=False)}, {"y": total * w})
    (shared,) = (plan for plan in made.plans if len(plan.roots) == 2)
    assert w in shared.inputs
    assert copies(made) == (["w"] if turned else [])
    check(made)


def test_variables_that_swap_need_one_copy() -> None:
    a, b = read("a", (8, 8)), read("b", (8, 8))
    made = written({"a": matmul(b, b), "b": matmul(a, a)})
    assert len(copies(made)) == 1
    check(made)


def test_a_ring_of_variables_needs_one_copy() -> None:
    names = "abcd"
    values = [read(name, (8, 8)) for name in names]
    made = written({name: matmul(values[k - 1], values[k - 1]) for k, name in enumerate(names)})
    assert len(copies(made)) == 1
    check(made)


def test_a_chain_of_variables_needs_none() -> None:
    b, c = (read(name, (8, 8)) for name in "bc")
    made = written({"a": matmul(b, b), "b": matmul(c, c), "c": c * 0.5})
    assert copies(made) == []
    check(made)


def test_a_new_value_may_wait_for_a_reader_of_the_old_one_in_one_way_only() -> None:
    """y reads the new a and the old b; the new b reads the old a: whoever writes first must not disturb the other."""
    a, b = read("a", (8, 8)), read("b", (8, 8))
    new_a = matmul(a, feed("x", (8, 8)))
    made = written({"a": new_a, "b": matmul(a, b)}, {"y": matmul(new_a, b)})
    check(made)
    assert copies(made) == ["b"], "the product that makes the new a is stored for y first, and then moved"


def test_a_variable_that_is_only_written_waits_for_nobody() -> None:
    made = written({"v": feed("x", (4,)) * 2.0})
    assert made.before == {}
    assert copies(made) == []


def in_step(plan: KernelPlan, old: Tensor, new: Tensor) -> bool:
    """Whether an elementwise kernel reads each element of the old value only where it stores that of the new one.

    By following every output back, element by element, to the places of the old value that it is made of.
    """
    sources = {x: row_major_strides(x.shape) for x in plan.inputs}
    tracer = Tracer(sources, plan.outputs)
    for output in plan.outputs:
        variables = domain(output.shape)
        index = tuple(Index.of(v) for v in variables)
        expression = tracer.trace(output, index, root=True)
        for load in walk([expression]):
            if not isinstance(load, Load) or load.tensor is not old:
                continue
            for place in everywhere(variables):
                here = sum(place[v] * s for v, s in zip(variables, row_major_strides(new.shape), strict=False))
                if output.shape != new.shape or at(load.address, place) != here:
                    return False
    return True


STEPS = [
    lambda w, other: w + other * 2.0,
    lambda w, other: matmul(w, other),
    lambda w, other: apply("exp", transpose(other, (1, 0))) + w,
    lambda w, other: other - reduce("sum", w, (0,)),
    lambda w, other: slice_(w, (3, 0), (-1, 1), (4, 4)) * other,
    lambda w, other: apply("tanh", w) * 0.5,
    lambda w, other: w * slice_(other, (0, 0), (1, 1), (1, 4)) + transpose(w, (1, 0)),
]


@pytest.mark.parametrize("number", range(40))
def test_random_updates_disturb_nobody(number: int) -> None:
    """Variables whose new values are made of old ones, and results that are made of both, at random."""
    random = np.random.default_rng(number)
    values = [read(f"w{k}", (4, 4)) for k in range(3)]

    def step(w: Tensor) -> Tensor:
        return STEPS[random.integers(len(STEPS))](w, values[random.integers(3)])

    updates = {f"w{k}": step(w) for k, w in enumerate(values)}
    fetches = {f"y{k}": step(list(updates.values())[random.integers(3)]) for k in range(2)}
    made = written(updates, fetches)
    check(made)
    old = {x.operation.key: x for plan in made.plans for x in plan.inputs if isinstance(x.operation, Read)}
    for (kind, name), new in made.results.items():
        if kind == "variable" and name in old:
            (maker,) = (plan for plan in made.plans if new in plan.outputs)
            if maker.is_elementwise and old[name] in maker.inputs:
                assert in_step(maker, old[name], new), name


def test_a_result_of_the_same_kernel_that_reads_elsewhere_makes_a_copy_necessary() -> None:
    """The sum of the new value and the old one's mirror joins the kernel of the new value, and reads the old one where
    the kernel has perhaps written already."""
    w, g = read("w", (6, 4)), feed("g", (6, 4))
    new = apply("exp", w - g)
    mirrored = new + slice_(w, (5, 0), (-1, 1), (6, 4))
    straight = written({"w": new}, {"y": new + w})
    assert copies(straight) == []
    turned = written({"w": new}, {"y": mirrored})
    (maker,) = (plan for plan in turned.plans if len(plan.outputs) == 2)
    assert not in_step(maker, w, new)
    assert copies(turned) == ["w"]
