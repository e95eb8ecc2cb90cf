"""Fusion: what is stored, what is computed again, and which kernels become one."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest
from random_programs import chain

from graphdl.compiler.fusion import MOST_OPERANDS, MOST_OUTPUTS, KernelPlan, elementwise_of, fuse, reads
from graphdl.compiler.prepare import prepare
from graphdl.compiler.program import Target
from graphdl.compiler.schedule import order
from graphdl.compiler.simplify import simplify
from graphdl.compiler.strided import memory_operands
from graphdl.operators.elementwise import apply
from graphdl.operators.matmul import matmul
from graphdl.operators.reduction import reduce
from graphdl.operators.structure import reshape, slice_, transpose
from graphdl.operators.tensor import Constant, Source, Template, Tensor, feed, read, topological

CPU = Target("cpu", vector_width=8, compute_units=2)


def plans_of(*results: Tensor) -> list[KernelPlan]:
    """The kernels of some results, hand-written ones in the form that the compiler takes."""
    prepared = list(prepare(dict(enumerate(results)), CPU).values())
    tensors = topological(prepared)
    return fuse(prepared, {t: memory_operands(t) for t in tensors if isinstance(t.operation, Template)}, CPU)


def names(plan: KernelPlan) -> list[str]:
    return [t.operation.name for t in (*plan.roots, *plan.outputs)]


def check(plans: Sequence[KernelPlan], results: Sequence[Tensor]) -> None:
    """Whatever is read has been made before or comes from outside, and nothing is made twice."""
    made: set[Tensor] = set()
    for plan in plans:
        assert all(x in made or isinstance(x.operation, Source) for x in plan.inputs)
        assert not made & set(plan.outputs)
        made.update(plan.outputs)
    assert {r for r in results if not isinstance(r.operation, Source)} <= made


def test_a_chain_is_one_kernel() -> None:
    x = feed("x", (5, 7))
    y = apply("tanh", apply("exp", x) + 1.0) * x
    (plan,) = plans_of(y)
    assert plan.is_elementwise
    assert plan.outputs == [y]
    assert plan.inputs == [x]


def test_bias_and_activation_end_in_the_product() -> None:
    x, w, b, z = feed("x", (8, 16)), feed("w", (16, 24)), feed("b", (24,)), feed("z", (8, 24))
    y = apply("maximum", matmul(x, w) + b, 0.0) + z
    (plan,) = plans_of(y)
    assert len(plan.roots) == 1
    assert plan.outputs == [plan.chains[plan.outputs[0]][-1]]
    assert set(plan.inputs) == {x, w, b, z}


def test_a_product_reads_through_views() -> None:
    x, w = feed("x", (16, 8)), feed("w", (32, 16))
    (plan,) = plans_of(matmul(transpose(x, (1, 0)), slice_(w, (8, 0), (1, 1), (16, 16))))
    assert set(plan.inputs) == {x, w}


def test_what_has_two_readers_ends_the_epilogue() -> None:
    x, w = feed("x", (8, 16)), feed("w", (16, 24))
    product = matmul(x, w)
    a, b = apply("exp", product), reduce("sum", product, (1,))
    plans = plans_of(a, b)
    check(plans, [])
    assert [len(plan.roots) for plan in plans] == [1, 1]
    assert any("exp" in names(plan) for plan in plans)


def test_a_cheap_value_is_computed_again_and_a_dear_one_is_stored() -> None:
    x = feed("x", (4, 64, 64))
    cheap, dear = x + 1.0, apply("exp", apply("exp", apply("exp", x)))
    for shared, stored in ((cheap, False), (dear, True)):
        # two readers that cannot share a pass: their sums run over different axes
        readers = [reduce("sum", apply("exp", shared), (1,)), reduce("sum", shared * shared, (2,))]
        plans = plans_of(*readers)
        check(plans, readers)
        assert (shared in {t for plan in plans for t in plan.outputs}) is stored


def test_sums_over_the_same_elements_share_a_pass() -> None:
    x = feed("x", (6, 50))
    total, squares = reduce("sum", x, (1,)), reduce("sum", x * x, (1,))
    (plan,) = plans_of(total, squares)
    assert len(plan.roots) == 2
    assert set(plan.outputs) == {total, squares}
    assert len(plans_of(total, reduce("sum", x * x, (0,)))) == 2


def test_sums_that_wait_for_one_another_do_not_share_a_pass() -> None:
    x = feed("x", (6, 50))
    mean = reduce("sum", x, (1,)) * 0.02
    deviation = reduce("sum", (x - mean) * (x - mean), (1,))
    plans = plans_of(deviation)
    check(plans, [deviation])
    assert [len(plan.roots) for plan in plans] == [1, 1]


def test_an_elementwise_kernel_joins_the_maker_of_what_it_reads() -> None:
    x, w = feed("x", (8, 16)), feed("w", (16, 24))
    product = matmul(x, w)
    (plan,) = plans_of(product, apply("exp", product))
    assert len(plan.outputs) == 2


def test_what_only_its_own_kernel_reads_is_not_stored() -> None:
    """The product has two readers, so it ends its epilogue. Then both join its kernel."""
    x, w, z = feed("x", (8, 16)), feed("w", (16, 24)), feed("z", (8, 24))
    g = matmul(x, w)
    y = apply("exp", g * z) + g
    (plan,) = plans_of(y)
    assert len(plan.outputs) == 1
    assert plan.outputs[0].operation.name == "add"
    assert list(plan.chains) == plan.outputs


def test_what_nothing_reads_has_no_kernel() -> None:
    """The row of a parameter that all matrices of a batch are multiplied by: the product reads the parameter itself."""
    w, z = read("w", (3, 5, 5)), feed("z", (4, 5, 4))
    row = reshape(slice_(w, (0, 0, 0), (1, 1, 1), (1, 1, 5)), (1, 5))
    assert all(plan.outputs for plan in plans_of(matmul(row, z)))


def test_a_square_asks_for_its_operand_once() -> None:
    """``x - m`` is cheap: the kernel of the square and that of the product compute it again."""
    x, m = feed("x", (64, 100)), feed("m", (100,))
    centered = x - m
    variance = reduce("sum", centered * centered, (0,))
    plans = plans_of(centered * apply("rsqrt", variance))
    assert not any("subtract" in names(plan) for plan in plans)


def test_kernels_that_read_the_same_tensor_become_one() -> None:
    """As the moments of an optimizer, and the parameter that both update."""
    g, m, v, w = (feed(name, (40, 30)) for name in "gmvw")
    first, second = 0.9 * m + 0.1 * g, 0.99 * v + 0.01 * (g * g)
    (plan,) = plans_of(first, second, w - first / apply("sqrt", second))
    assert len(plan.outputs) == 3
    assert set(plan.inputs) == {g, m, v, w}


def test_kernels_of_other_shapes_stay_apart() -> None:
    x, row = feed("x", (40, 30)), feed("row", (30,))
    assert len(plans_of(x + row, row * 2.0)) == 2
    assert len(plans_of(apply("exp", x), transpose(x, (1, 0)) * 2.0)) == 2


def test_a_reader_at_another_place_does_not_join() -> None:
    x, w = feed("x", (8, 16)), feed("w", (16, 24))
    product = matmul(x, w)
    mirrored = slice_(product, (0, 23), (1, -1), (8, 24)) + product
    plans = plans_of(product, mirrored)
    check(plans, [])
    assert len(plans) == 2


def test_a_kernel_stores_a_few_outputs_at_most() -> None:
    x = feed("x", (64,))
    start = apply("exp", x)
    outputs = [apply("tanh", start * float(k + 2)) for k in range(3 * MOST_OUTPUTS)]
    plans = plans_of(start, *outputs)
    check(plans, outputs)
    assert all(len(plan.outputs) <= MOST_OUTPUTS for plan in plans)


def test_a_kernel_has_a_bounded_number_of_arguments() -> None:
    parts = [feed(f"x{k}", (64,)) for k in range(3 * MOST_OPERANDS)]
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    plans = plans_of(total)
    check(plans, [total])
    assert len(plans) > 1
    assert all(len({*plan.inputs, *plan.outputs}) <= 2 * MOST_OPERANDS for plan in plans)


def test_results_that_come_from_outside_need_no_kernel() -> None:
    assert plans_of(feed("x", (3,))) == []


@pytest.mark.parametrize("straight", [True, False])
def test_which_paths_are_elementwise(straight: bool) -> None:
    x = feed("x", (4, 4))
    y = apply("exp", x) + (x * 2.0 if straight else transpose(x, (1, 0)))
    assert elementwise_of([y], x, set()) is straight
    assert elementwise_of([reshape(y, (16,))], x, set()) is False


def test_formulas_end_at_what_is_stored() -> None:
    x = feed("x", (4,))
    stored = apply("exp", x)
    y = stored + 1.0
    assert reads([y], x, set())
    assert not reads([y], x, {stored})
    assert reads([y, x], x, {stored})


@pytest.mark.parametrize("target", [CPU, Target("gpu", vector_width=4, compute_units=8)], ids=["cpu", "gpu"])
@pytest.mark.parametrize("number", range(25))
def test_random_programs_are_fused_without_loss(number: int, target: Target) -> None:
    """Every kernel reads what it says, everything is stored once, and what a template reads lies in memory."""
    made = chain(number)
    results = {**made.fetches, **{f"new {name}": x for name, x in made.updates.items()}}
    prepared = prepare(simplify(results), target)
    tensors = topological(prepared.values())
    operands = {t: memory_operands(t) for t in tensors if isinstance(t.operation, Template)}
    plans = fuse(list(prepared.values()), operands, target)
    check(order(plans, {}, set()), list(prepared.values()))
    stored = {t for plan in plans for t in plan.outputs}
    for plan in plans:
        assert len({*plan.inputs, *plan.outputs}) <= 2 * MOST_OPERANDS
        for root in plan.roots:
            for x in operands.get(root, ()):
                assert x in stored or isinstance(x.operation, Source)
        if plan.roots:
            assert set(plan.chains) >= set(plan.outputs)
            for output, way in plan.chains.items():
                assert way[0] in plan.roots
                assert all(before in after.inputs for before, after in pairwise(way)), "a way leads from a root onwards"
                assert output in plan.outputs
        reached, stack = set(), [x for output in plan.outputs for x in operands.get(output, output.inputs)]
        while stack:
            x = stack.pop()
            if x in stored or isinstance(x.operation, Source):
                if x not in plan.outputs and not isinstance(x.operation, Constant):
                    reached.add(x)
            elif x not in reached:
                stack.extend(operands.get(x, x.inputs))
        assert reached == set(plan.inputs) - set(plan.outputs)
