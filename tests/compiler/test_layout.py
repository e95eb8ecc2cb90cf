"""Layouts, places and updates in place, of small programs."""

from __future__ import annotations

import pytest

from graphdl.compiler.assembly import Assembled
from graphdl.compiler.build import build
from graphdl.compiler.fusion import fuse
from graphdl.compiler.layout import layouts
from graphdl.compiler.prepare import prepare
from graphdl.compiler.program import Program, Target
from graphdl.compiler.strided import memory_operands, permuted_strides, row_major_strides, strided_base, strides_from
from graphdl.operators.convolution import Convolution, Geometry
from graphdl.operators.elementwise import apply
from graphdl.operators.matmul import matmul
from graphdl.operators.reduction import reduce
from graphdl.operators.structure import concat, pad, reshape, slice_, transpose
from graphdl.operators.tensor import Template, Tensor, feed, read, topological

CPU = Target("cpu", vector_width=8, compute_units=2)


def convolved(x: Tensor, w: Tensor) -> Tensor:
    shape = (x.shape[0], w.shape[0], x.shape[2] - w.shape[2] + 1, x.shape[3] - w.shape[3] + 1)
    return Tensor(Convolution(Geometry((1, 1), (1, 1), 1)), (x, w), shape)


def strides_of(*results: Tensor) -> dict[Tensor, tuple[int, ...]]:
    prepared = list(prepare(dict(enumerate(results)), CPU).values())
    operands = {t: memory_operands(t) for t in topological(prepared) if isinstance(t.operation, Template)}
    return layouts(fuse(prepared, operands, CPU), operands, set(prepared))


def last(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The strides of images that lie channels last."""
    return permuted_strides(shape, (0, 2, 3, 1))


def test_strides() -> None:
    assert row_major_strides((2, 3, 4)) == (12, 4, 1)
    assert permuted_strides((2, 3, 4, 5), (0, 2, 3, 1)) == (60, 1, 15, 3)
    assert row_major_strides(()) == ()


def test_images_between_convolutions_lie_channels_last() -> None:
    x = feed("x", (2, 3, 9, 9))
    hidden = apply("maximum", convolved(x, feed("w", (8, 3, 3, 3))), 0.0)
    strides = strides_of(convolved(hidden, feed("v", (4, 8, 3, 3))))
    inside = [t for t in strides if t.rank == 4 and t.shape == (2, 8, 7, 7)]
    assert inside
    assert all(strides[t] == last(t.shape) for t in inside)
    assert strides[x] == row_major_strides(x.shape)  # as it was fed


def test_what_leaves_is_row_major() -> None:
    strides = strides_of(convolved(feed("x", (2, 3, 9, 9)), feed("w", (8, 3, 3, 3))))
    (result,) = [t for t in strides if t.shape == (2, 8, 7, 7)]
    assert strides[result] == row_major_strides(result.shape)


def test_what_is_made_of_such_an_image_lies_so_too() -> None:
    hidden = convolved(feed("x", (2, 3, 9, 9)), feed("w", (8, 3, 3, 3)))
    mean = reduce("sum", hidden, (0, 2, 3)) * (1 / 98)
    scaled = apply("exp", apply("exp", (hidden - mean) * (hidden - mean)))  # dear enough to be stored
    strides = strides_of(reduce("sum", scaled, (1,)), reduce("max", scaled * scaled, (2, 3)))
    stored = [t for t in strides if t.shape == (2, 8, 7, 7)]
    assert len(stored) == 2
    assert all(strides[t] == last(t.shape) for t in stored)


def test_a_strided_operand_is_read_where_it_lies() -> None:
    x = feed("x", (4, 6, 8))
    view = transpose(slice_(x, (1, 0, 2), (1, 1, 2), (2, 6, 3)), (0, 2, 1))
    operand = strides_from(view, x, row_major_strides(x.shape))
    assert operand is not None
    assert (operand.offset, operand.strides) == (50, (48, 2, 8))
    assert strided_base(view) is x


@pytest.mark.parametrize(
    "view", [lambda x: pad(x, (0, 1), (0, 0)), lambda x: reshape(slice_(x, (0, 0), (1, 1), (4, 5)), (20,))]
)
def test_an_uneven_view_must_be_stored(view) -> None:
    x = feed("x", (4, 6))
    assert strides_from(view(x), x, (6, 1)) is None
    assert strided_base(view(x)) is not x


def built(fetches: dict[str, Tensor], updates: dict[str, Tensor]) -> Program:
    return build(fetches, updates, CPU)


def test_an_update_is_written_over_the_old_value() -> None:
    w, g = read("w", (512,)), feed("g", (512,))
    program = built({}, {"w": w - g * 0.1})
    (launch,) = program.launches
    assert program.arena_bytes == 0
    assert {b.name for b in launch.bindings if b.place == "variable"} == {"w"}


def test_an_old_value_that_is_read_elsewhere_is_kept_until_then() -> None:
    """Two variables that swap: one of them must be stored twice."""
    a, b = read("a", (512,)), read("b", (512,))
    program = built({}, {"a": b * 2.0, "b": a * 3.0})
    writes: dict[str, int] = {}
    reads: dict[str, list[int]] = {}
    for number, launch in enumerate(program.launches):
        source = program.kernels[launch.kernel].source
        parameters = source[source.rindex("__kernel") :].split("{")[0].split("__global ")[1:]
        for binding, parameter in zip(launch.bindings, parameters, strict=True):
            if binding.place == "variable":
                if parameter.startswith("const"):
                    reads.setdefault(binding.name, []).append(number)
                else:
                    writes[binding.name] = number
    assert set(writes) == {"a", "b"}
    for name, number in writes.items():
        assert all(reader <= number for reader in reads.get(name, []))


def test_a_mirrored_variable_is_not_overwritten_while_it_is_read() -> None:
    w = read("w", (512,))
    program = built({}, {"w": slice_(w, (511,), (-1,), (512,))})
    assert [launch.label for launch in program.launches] == ["slice, copy"]
    assert program.arena_bytes == 2048


def test_a_result_that_comes_from_outside_is_copied() -> None:
    x = feed("x", (3,))
    program = built({"y": x, "again": x}, {})
    assert set(program.fetches) == {"y", "again"}
    assert program.arena_bytes == 0


def test_results_lie_in_slots_with_their_names() -> None:
    x, w = feed("x", (4, 6)), read("w", (6, 5))
    program = built({"y": matmul(x, w)}, {})
    assert program.feeds["x"].shape == (4, 6)
    assert program.variables["w"].shape == (6, 5)
    assert program.fetches["y"].shape == (4, 5)
    assert program.arena_bytes == 0


def test_pieces_of_a_concatenation_are_written_where_they_belong() -> None:
    """A product reads the concatenation, so it lies in memory; its pieces are not stored a second time."""
    parts = [apply("exp", feed(f"x{k}", (8, n))) for k, n in enumerate((16, 24, 8))]
    program = built({"y": matmul(concat(parts, 1), feed("w", (48, 32)))}, {})
    whole = [block for block in program.arena_blocks if block.nbytes >= 8 * 48 * 4]
    assert len(whole) == 1
    assert program.arena_bytes == pytest.approx(8 * 48 * 4, abs=256)
    offsets = [b.offset for launch in program.launches for b in launch.bindings if b.place == "arena"]
    assert {0, 16, 40} <= set(offsets)


def test_regions_of_an_assembled_tensor() -> None:
    parts = (feed("a", (2, 3)), feed("b", (3,)), feed("c", (4, 3)))
    whole = Tensor(Assembled(0, ((2, 3), (1, 3), (4, 3))), parts, (7, 3))
    assert whole.operation.regions(whole, (3, 1)) == [  # type: ignore[attr-defined]
        (parts[0], 0, (3, 1)),
        (parts[1], 6, (1,)),
        (parts[2], 9, (3, 1)),
    ]


def test_a_chain_of_temporaries_needs_two_of_them() -> None:
    """Sums over other axes cannot be fused, so every step is stored; only two are alive at once."""
    x = feed("x", (64, 64))
    for k in range(8):
        x = apply("exp", x - reduce("max", x, (k % 2,)))
    program = built({"y": reduce("sum", x, (0, 1))}, {})
    assert 64 * 64 * 4 <= program.arena_bytes <= 3 * 64 * 64 * 4
