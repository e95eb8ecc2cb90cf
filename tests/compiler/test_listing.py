"""Every stage as text, and which kernels share a launch."""

from __future__ import annotations

import re
from collections.abc import Mapping

import pytest

from graphdl.compiler import listing
from graphdl.compiler.build import build
from graphdl.compiler.fusion import MOST_OPERANDS
from graphdl.compiler.lowering import lower
from graphdl.compiler.program import Program, Target
from graphdl.language import Source, expand
from graphdl.operators.elementwise import apply
from graphdl.operators.matmul import matmul
from graphdl.operators.reduction import reduce
from graphdl.operators.tensor import Tensor, feed

CPU, GPU = Target("cpu", vector_width=8, compute_units=2), Target("gpu", vector_width=4, compute_units=8)

TEXT = """
net small() {
    input x: [6]
    input label: class(3)
    logits = x -> linear(3) as head
    output best = argmax(logits)
    loss cross_entropy(logits, label)
    metric accuracy(logits, label)
}
"""
SCAN = """
net scanned() {
    input x: [40, 3]
    w = linear(3, bias = false)
    y, last = scan row in x, h = zeros([3]) { h = tanh((h -> w) + row); emit h }
    output y
}
"""


def graph(text: str = TEXT, training: bool = False):
    return expand(Source("small.net", text), training=training)


def program(text: str = TEXT, target: Target = CPU) -> Program:
    return build(lower(graph(text), 4).outputs, {}, target)


def test_the_module_graph_has_a_line_for_each_node() -> None:
    found = graph()
    lines = listing.modules(found).splitlines()
    assert lines[0] == "small for inference"
    assert len([line for line in lines if line.startswith("%")]) == len(found.nodes)
    assert "%0 = input(name = x): [6]  # small small.net:3:5" in lines
    assert any(re.match(r"%\d+ = matmul\(%\d+, %\d+.*\): \[3\]  # head ", line) for line in lines)
    assert [line.split(" = ")[0] for line in lines if not line.startswith("%")][1:] == [
        "output best", "loss cross_entropy", "metric accuracy",
    ]  # fmt: skip
    assert listing.modules(graph(training=True)).startswith("small for training")


def test_updates_of_states_are_listed() -> None:
    found = listing.modules(graph(TEXT.replace("x -> linear", "x -> batchnorm -> linear"), training=True))
    assert re.search(r"^update logits\.batchnorm\.mean = %\d+$", found, re.MULTILINE)


def test_long_values_are_cut() -> None:
    text = TEXT.replace("x -> linear", f"(x + {list(range(6))}) * {[0.25] * 6} -> linear")
    assert (
        max(len(part) for line in listing.modules(graph(text)).splitlines() for part in line.split(", value = ")) < 200
    )
    whole = "net a() { input x: [40]\n output y = x + " + str(list(range(40))) + "\n}"
    (line,) = (line for line in listing.modules(graph(whole)).splitlines() if "= constant(" in line)
    assert re.search(r"value = \[0(\.0)?, 1.*…", line)
    assert len(line.split("value = ")[1].split("):")[0]) == 60


def test_operators_are_numbered_inputs_first() -> None:
    x = feed("x", (3, 4))
    total = reduce("sum", apply("exp", x) * x, (1,))
    lines = listing.operators({"total": total}).splitlines()
    assert lines[0] == "%0 = feed(key = x): float[3, 4]"
    assert re.fullmatch(r"%1 = exp\(%0, key = exp.*\): float\[3, 4\]", lines[1])
    assert re.fullmatch(r"%2 = multiply\(%1, %0, .*\): float\[3, 4\]", lines[2])
    assert re.fullmatch(r"%3 = \w+\(%2, .*axes = \(1,\).*\): float\[3, 1\]", lines[3])
    assert lines[4] == "total = %3"


def test_the_body_of_a_loop_stands_below_it() -> None:
    lowered = lower(graph(SCAN), 2, unrolled=False)
    lines = listing.operators(lowered.outputs).splitlines()
    (loop,) = (k for k, line in enumerate(lines) if "= loop(" in line)
    assert "count = 40, backwards = False" in lines[loop]
    inside = [line for line in lines[loop + 1 :] if line.startswith("  ")]
    name = lines[loop].split(" ")[0]
    assert all(line.startswith(f"  {name}.") for line in inside)
    assert any(re.fullmatch(rf"  {name}\.\d+ becomes {name}\.\d+", line) for line in inside)
    assert any("tanh" in line for line in inside)


def test_the_schedule_has_a_line_for_each_launch() -> None:
    made = program()
    lines = listing.schedule(made).splitlines()
    assert len(lines) == len(made.launches)
    for number, (line, launch) in enumerate(zip(lines, made.launches, strict=True)):
        assert line.startswith(f"{number:4}  {launch.label}  [")
        assert f"{launch.flops:,} FLOPs  {launch.bytes:,} bytes  {launch.kernel}" in line
        assert line.endswith(tuple("0123456789"))
        assert line.split("  # ")[1] == ", ".join(dict.fromkeys(f"{s.source.name}:{s.line}" for s in launch.spans))


def test_launches_of_a_loop_are_indented() -> None:
    made = build(lower(graph(SCAN), 2, unrolled=False).outputs, {}, CPU)
    lines = listing.schedule(made).splitlines()
    (loop,) = made.loops
    (head,) = (k for k, line in enumerate(lines) if "times:" in line)
    assert lines[head] == "      40 times:"
    inside = lines[head + 1 : head + 1 + loop.end - loop.first]
    assert all(re.match(r" *\d+    \S", line) for line in inside)
    assert len(lines) == len(made.launches) + 1


def test_memory_is_told_block_by_block_and_slot_by_slot() -> None:
    made = program(TEXT.replace("linear(3)", "linear(64) -> linear(3)"))
    text = listing.memory(made)
    assert text.startswith(f"intermediate: {made.arena_bytes:,} bytes, {made.live_bytes:,} alive at once")
    assert text.count(" launches ") == len(made.arena_blocks)
    assert "feeds: 96 bytes" in text
    assert re.search(r"^ +96  x float\[4, 6\]$", text, re.MULTILINE)
    assert re.search(r"^ +16  best int\[4\]$", text, re.MULTILINE)
    assert text.endswith("constants: 0 bytes")


def test_the_text_of_each_kernel_stands_under_its_name() -> None:
    made = program()
    text = listing.opencl(made)
    for name, kernel in made.kernels.items():
        assert f"// {name}\n{kernel.source.strip()}" in text


# --------------------------------------------------------------------------------------------------- shared launches


def small(count: int) -> Mapping[str, Tensor]:
    """Sums over different shapes: no two of them are one kernel, and each is little work."""
    return {f"y{k}": reduce("sum", feed(f"x{k}", (3, k + 2)), (1,)) for k in range(count)}


def test_small_neighbours_share_a_launch_on_a_cpu_alone() -> None:
    (launch,) = build(small(5), {}, CPU).launches
    assert launch.label.count(", ") == 4
    assert launch.global_size == (1,)
    assert len(build(small(5), {}, GPU).launches) == 5


def test_a_launch_has_no_more_arguments_than_opencl_promises() -> None:
    made = build(small(50), {}, CPU)
    assert len(made.launches) == 2
    assert all(len(launch.bindings) <= MOST_OPERANDS for launch in made.launches)
    assert sum(len(launch.bindings) for launch in made.launches) == 100


def test_large_kernels_stay_apart() -> None:
    results = {f"y{k}": apply("tanh", feed(f"x{k}", (400, 400 + k))) for k in range(3)}
    assert len(build(results, {}, CPU).launches) == 3
    product = {"a": matmul(feed("a", (4, 4)), feed("b", (4, 4))), "c": reduce("sum", feed("c", (3, 3)), (1,))}
    assert len(build(product, {}, CPU).launches) == 2


def test_equal_texts_are_one_kernel() -> None:
    results = {f"y{k}": apply("tanh", feed(f"x{k}", (400, 400))) for k in range(3)}
    made = build(results, {}, GPU)
    assert (len(made.launches), len(made.kernels)) == (3, 1)
    (kernel,) = made.kernels.values()
    assert re.fullmatch(r"tanh_[0-9a-f]{12}", kernel.name)
    assert f"void {kernel.name}(" in kernel.source


@pytest.mark.parametrize("target", [CPU, GPU], ids=["cpu", "gpu"])
def test_what_a_launch_costs(target: Target) -> None:
    a, b = feed("a", (1, 5, 7)), feed("b", (1, 7, 9))
    (launch,) = build({"y": matmul(a, b) + 1.0}, {}, target).launches
    assert launch.bytes == 4 * (5 * 7 + 7 * 9 + 5 * 9)
    assert launch.flops == 2 * 5 * 7 * 9 + 5 * 9
    assert launch.times == 1


def test_a_launch_knows_who_asked_for_it() -> None:
    made = program()
    (head,) = (launch for launch in made.launches if "matmul" in launch.label)
    assert "head" in head.modules
    assert {span.source.name.split("/")[0] for span in head.spans} <= {"small.net", "library"}
    assert any(span.text.startswith("linear(3)") or "logits" in span.text or span.in_library for span in head.spans)
