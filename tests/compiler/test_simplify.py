"""Simplification: equal tensors become one, sums of what was only repeated or laid side by side are shorter."""

from __future__ import annotations

import numpy as np
import pytest
from evaluating import evaluated

from graphdl.compiler.rewrite import rewrite, with_inputs
from graphdl.compiler.simplify import simplify
from graphdl.operators.elementwise import apply
from graphdl.operators.reduction import Reduction, reduce
from graphdl.operators.structure import Concat, broadcast_to, concat, pad, pad_to, reshape, slice_, transpose
from graphdl.operators.tensor import Tensor, constant, feed, topological


def simplified(*results: Tensor) -> list[Tensor]:
    return list(simplify(dict(enumerate(results))).values())


def operations(*results: Tensor) -> list[str]:
    return sorted(t.operation.name for t in topological(results) if t.inputs)


def test_equal_tensors_become_one() -> None:
    x = feed("x", (3,))
    a, b = apply("exp", x) + 1.0, apply("exp", x) + 1.0
    one, other = simplified(a, b)
    assert one is other
    assert operations(one) == ["add", "exp"]


def test_tensors_of_other_attributes_stay_apart() -> None:
    x = feed("x", (4, 4))
    one, other = simplified(slice_(x, (0, 0), (1, 1), (2, 4)), slice_(x, (2, 0), (1, 1), (2, 4)))
    assert one is not other
    one, other = simplified(x * 1.5, x * 2.5)
    assert one is not other
    as_float, as_int = simplified(x + constant(1.0), feed("x", (4, 4), "int") + constant(1))
    assert (as_float.element, as_int.element) == ("float", "int")


@pytest.mark.parametrize("exponent", [1.5, 0.75, 0.25, -0.25, -0.75])
def test_powers_by_quarters_are_roots(exponent: float) -> None:
    (made,) = simplified(feed("x", (9,)) ** exponent)
    assert "power" not in operations(made)


@pytest.mark.parametrize("exponent", [2.5, 0.3, -2.0])
def test_other_powers_stay(exponent: float) -> None:
    (made,) = simplified(feed("x", (9,)) ** exponent)
    assert operations(made) == ["power"]


def test_a_sum_of_what_is_repeated_is_a_product() -> None:
    x = feed("x", (3, 1))
    (made,) = simplified(reduce("sum", broadcast_to(x, (3, 7)), (1,)))
    assert made.shape == (3, 1)
    assert not any(isinstance(t.operation, Reduction) and t.operation.axes for t in topological([made]))
    given = np.float32([[1], [-2], [3]])
    np.testing.assert_array_equal(evaluated(apply("add", made, 0.0 * x), {x: given}), given * 7)


def test_a_sum_over_more_than_the_repeated_stays() -> None:
    x = feed("x", (3, 1))
    (made,) = simplified(reduce("sum", broadcast_to(x, (3, 7)), (0, 1)))
    assert any(isinstance(t.operation, Reduction) and 0 in t.operation.axes for t in topological([made]))


def test_pieces_side_by_side_are_a_concatenation() -> None:
    """What the gradient of a sequence is that was read step by step."""
    parts = [feed(f"x{k}", (2, n)) for k, n in enumerate((3, 1, 2))]
    starts = (0, 3, 4)
    laid = [pad_to(part, (2, 6), (0, start), (1, 1)) for part, start in zip(parts, starts, strict=True)]
    (made,) = simplified(laid[2] + laid[0] + laid[1])
    assert isinstance(made.operation, Concat)
    assert list(made.inputs) == parts
    arrays = {part: np.arange(part.size, dtype=np.float32).reshape(part.shape) + k for k, part in enumerate(parts)}
    np.testing.assert_array_equal(evaluated(made, arrays), np.concatenate([arrays[part] for part in parts], 1))


def test_pieces_with_a_gap_or_an_overlap_stay_a_sum() -> None:
    a, b = feed("a", (2, 3)), feed("b", (2, 3))
    for start in (2, 4):
        width = start + 3
        total = pad_to(a, (2, width), (0, 0), (1, 1)) + pad_to(b, (2, width), (0, start), (1, 1))
        (made,) = simplified(total)
        assert made.operation.name == "add"
    spread = pad_to(a, (2, 6), (0, 0), (1, 2)) + pad_to(b, (2, 6), (0, 1), (1, 2))
    assert simplified(spread)[0].operation.name == "add"
    padded = pad(a, (0, 0), (0, 3), 1.0) + pad(b, (0, 3), (0, 0), 1.0)
    assert simplified(padded)[0].operation.name == "add"


def test_rules_of_arithmetic_hold_as_soon_as_a_tensor_is_made() -> None:
    x = feed("x", (3,))
    assert x * 1.0 is x
    assert x + 0.0 is x
    assert reshape(x, (3,)) is x
    assert transpose(x, (0,)) is x
    assert concat([x], 0) is x


def test_a_rewrite_keeps_what_no_rule_touches() -> None:
    x = feed("x", (3,))
    y = apply("exp", x) * 2.0
    (same,) = rewrite({"y": y}, lambda tensor, inputs, replaced: with_inputs(tensor, inputs)).values()
    assert same is y


def test_a_rewrite_sees_what_its_inputs_have_become() -> None:
    x, other = feed("x", (3,)), feed("other", (3,))
    y = apply("exp", x) * x

    def swapped(tensor: Tensor, inputs: tuple[Tensor, ...], replaced: object) -> Tensor:
        return other if tensor is x else with_inputs(tensor, inputs)

    made = rewrite({"y": y, "x": x}, swapped)
    assert made["x"] is other
    assert x not in topological(made.values())
    given = np.float32([0.5, 1, 2])
    np.testing.assert_allclose(evaluated(made["y"], {other: given}), np.exp(given) * given, rtol=1e-6)
