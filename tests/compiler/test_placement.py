"""Where tensors lie: nobody writes over what is still needed, whatever the program."""

from __future__ import annotations

import re

import numpy as np
import pytest
from random_programs import built, chain

from graphdl.compiler.build import build
from graphdl.compiler.lowering import lower
from graphdl.compiler.memory import ALIGNMENT
from graphdl.compiler.program import Launch, Program, Target
from graphdl.compiler.reverse import gradients
from graphdl.graph.elements import ELEMENTS
from graphdl.language import Source, expand
from graphdl.operators.elementwise import apply, cast
from graphdl.operators.matmul import matmul
from graphdl.operators.reduction import reduce
from graphdl.operators.structure import concat, slice_
from graphdl.operators.tensor import Tensor, array, feed, read

TARGETS = {"cpu": Target("cpu", vector_width=8, compute_units=2), "gpu": Target("gpu", vector_width=4, compute_units=8)}

CONVOLUTIONAL = """
net n() {
    input image: [2, 9, 7]
    input label: class(3)
    h = image -> conv(4, 3, pad = 1) -> batchnorm -> relu -> maxpool(2)
    h = concat([h -> conv(3, 1), h -> conv(5, 3, pad = 1)]) -> relu
    logits = h -> flatten -> linear(3)
    loss cross_entropy(logits, label)
}
"""
RECURRENT = """
net n() {
    input x: [9, 5]
    y, h, c = x -> lstm(6)
    z, last = reverse(y) -> gru(4)
    output z
    loss mean(z * z) + sum(h * c) + sum(last)
}
"""
NESTED = """
net n() {
    input x: [4, 6, 3]
    w = linear(3, bias = false)
    outer, total = scan rows in x, s = zeros([3]) {
        inner, last = scan row in rows, t = s { t = tanh((t -> w) + row); emit t * t }
        s = last + sum(inner, axis = 0)
        emit s
    }
    output outer
    loss sum(outer * outer) + sum(total)
}
"""


def step(text: str, target: Target, batch: int = 5) -> Program:
    """A training step of a net, by plain descent."""
    lowered = lower(expand(Source("model.net", text), training=True), batch)
    total = next(iter(lowered.losses.values()))
    found = gradients(total, list(lowered.parameters.values()))
    updates = {path: w - g * 0.1 for (path, w), g in zip(lowered.parameters.items(), found, strict=True)}
    return build({**lowered.outputs, "total": total}, {**updates, **lowered.updates}, target)


def attention() -> dict[str, Tensor]:
    q, k, v = (feed(name, (3, 8, 8)) for name in "qkv")
    scores = apply("exp", matmul(q, k))
    return {"y": matmul(scores / reduce("sum", scores, (2,)), v), "largest": reduce("max", scores, (1, 2))}


PROGRAMS = {
    "convolutional": lambda target: step(CONVOLUTIONAL, target),
    "recurrent": lambda target: step(RECURRENT, target),
    "nested loops": lambda target: step(NESTED, target),
    "attention": lambda target: build(attention(), {}, target),
    **{f"random {k}": lambda target, k=k: built([chain(n) for n in range(k, k + 12)], target) for k in (0, 1000)},
}


@pytest.fixture(scope="module", params=[(name, form) for name in PROGRAMS for form in TARGETS], ids=" on ".join)
def program(request: pytest.FixtureRequest) -> Program:
    name, form = request.param
    return PROGRAMS[name](TARGETS[form])


def test_what_is_read_is_what_was_written(program: Program) -> None:
    """The arena, byte by byte: each launch finds there what an earlier one has left for it."""
    holds = np.full(program.arena_bytes, -1)
    for number, _ in program.calls():
        launch = program.launches[number]
        for block in launch.reads:
            place = program.arena_blocks[block]
            if block not in launch.writes:  # one that it writes too may be its own, or be written over in place
                assert (holds[place.offset : place.offset + place.nbytes] == block).all(), (launch.label, place)
        for block in launch.writes:
            place = program.arena_blocks[block]
            holds[place.offset : place.offset + place.nbytes] = block


def test_blocks_live_from_their_first_launch_to_their_last(program: Program) -> None:
    used: dict[int, list[int]] = {}
    for number, launch in enumerate(program.launches):
        for block in (*launch.reads, *launch.writes):
            used.setdefault(block, []).append(number)
    for block, place in enumerate(program.arena_blocks):
        assert place.first <= place.last
        assert all(place.first <= number <= place.last for number in used.get(block, ()))


def test_blocks_lie_within_the_arena(program: Program) -> None:
    for place in program.arena_blocks:
        assert place.offset % ALIGNMENT == 0
        assert place.offset >= 0
        assert place.offset + place.nbytes <= program.arena_bytes
    assert program.live_bytes <= program.arena_bytes


def parameters(program: Program, launch: Launch) -> list[bool]:
    """For each argument whether the kernel writes there."""
    source = program.kernels[launch.kernel].source
    declared = re.findall(r"__global (const )?\w+ \*(b\d+), const ulong o\d+", source)
    return [not const for const, _ in dict.fromkeys(declared)]  # the function that a kernel calls declares them, too


def test_arguments_point_at_what_the_launch_uses(program: Program) -> None:
    slots = {"variable": program.variables, "feed": program.feeds, "fetch": program.fetches}
    for number, turns in program.calls():
        launch = program.launches[number]
        assert len(parameters(program, launch)) == len(launch.bindings)
        for binding in launch.bindings:
            begin = binding.at(turns) * binding.element_bytes
            assert begin >= 0
            match binding.place:
                case "arena":
                    blocks = [program.arena_blocks[block] for block in (*launch.reads, *launch.writes)]
                    ends = {place.offset + place.nbytes for place in blocks}
                    assert any(place.offset <= begin for place in blocks)
                    # a view may begin behind the end, where nothing is read, yet not by more than it is large
                    assert begin <= max(ends) + max(place.nbytes for place in blocks)
                case "constant":
                    assert binding.name in program.constants
                case place:
                    slot = slots[place][binding.name]
                    assert binding.element_bytes == ELEMENTS[slot.element].stored.bytes


def test_every_result_is_written_and_no_feed_is(program: Program) -> None:
    written = {
        (binding.place, binding.name)
        for launch in program.launches
        for binding, writes in zip(launch.bindings, parameters(program, launch), strict=True)
        if writes
    }
    assert {name for place, name in written if place == "fetch"} == set(program.fetches)
    assert not any(place in ("feed", "constant") for place, _ in written)
    read_only = {binding.name for launch in program.launches for binding in launch.bindings if binding.place == "feed"}
    assert read_only == set(program.feeds)


# --------------------------------------------------------------------------------------------------------- slots


def test_slots_are_named_and_in_order() -> None:
    b, a, w = feed("b", (3,)), feed("a", (3,), "int"), read("w", (3,))
    total = b + cast(a, "float") + w
    program = build({"y": total, "x": total * 2.0}, {"v": total * 3.0}, TARGETS["cpu"])
    assert [list(slots) for slots in (program.feeds, program.fetches, program.variables)] == [
        ["a", "b"], ["x", "y"], ["v", "w"],
    ]  # fmt: skip
    assert (program.feeds["a"].element, program.feeds["b"].element) == ("int", "float")


def test_equal_constants_are_one_and_have_their_elements() -> None:
    x = feed("x", (3,))
    one, same, other = (array(values) for values in ([1.0, 2.0, 3.0], [1.0, 2.0, 3.0], [1.0, 2.0, 4.0]))
    numbers = array([[1, 2, 3]], "int")
    results = {
        "a": apply("exp", x * one), "b": reduce("max", x * same, (0,)), "c": x + other,
        "d": cast(numbers, "float") * x,
    }  # fmt: skip
    program = build(results, {}, TARGETS["cpu"])
    found = sorted((values.dtype.name, values.tolist()) for values in program.constants.values())
    assert found == [("float32", [1.0, 2.0, 3.0]), ("float32", [1.0, 2.0, 4.0]), ("int32", [[1, 2, 3]])]


def test_what_no_element_lies_at_is_not_read() -> None:
    """The second half of the sum is cut off: the kernel that would read it does not, and nothing is said to."""
    x = feed("x", (6, 4))
    first, second = reduce("sum", x, (1,)), reduce("max", apply("exp", x), (1,))
    cut = slice_(concat([first, second], 0), (0, 0), (1, 1), (5, 1))
    program = build({"y": apply("tanh", cut)}, {}, TARGETS["gpu"])
    for number, launch in enumerate(program.launches):
        for block in launch.reads:
            assert program.arena_blocks[block].last >= number


@pytest.mark.parametrize("read_again", [False, True])
def test_a_dying_operand_gives_its_place_to_the_result(read_again: bool) -> None:
    """The product's result is read once more, element by element; unless somebody needs it after that, it has one place
    with what is made of it."""
    x = feed("x", (64, 64))
    first = matmul(x, x)
    second = apply("exp", first - reduce("max", first, (0, 1)))
    program = build({"y": matmul(second, first if read_again else x)}, {}, TARGETS["cpu"])
    large = 64 * 64 * 4
    places = {block.offset for block in program.arena_blocks if block.nbytes == large}
    assert len(places) == (2 if read_again else 1)
    assert large <= program.arena_bytes - (large if read_again else 0) < 1.5 * large


def test_constants_of_a_loop_belong_to_the_program() -> None:
    text = """
    net n() {
        input x: [40, 3]
        y, h = scan row in x, h = zeros([3]) { h = tanh(h * [0.5, 0.25, 2.0] + row) -> linear(3); emit h }
        output y
    }
    """
    lowered = lower(expand(Source("model.net", text)), 2, unrolled=False)
    program = build(lowered.outputs, {}, TARGETS["cpu"])
    assert program.loops
    assert [values.tolist() for values in program.constants.values()] == [[0.5, 0.25, 2.0]]


def test_pieces_share_the_block_of_their_whole() -> None:
    parts = [apply("exp", feed(f"x{k}", (8, n))) for k, n in enumerate((16, 24, 8))]
    program = build({"y": matmul(concat(parts, 1), feed("w", (48, 32)))}, {}, TARGETS["cpu"])
    (whole,) = program.arena_blocks
    assert whole.nbytes == 8 * 48 * 4
    writers = [launch for launch in program.launches if 0 in launch.writes]
    assert whole.first == program.launches.index(writers[0])
    assert whole.last == len(program.launches) - 1
