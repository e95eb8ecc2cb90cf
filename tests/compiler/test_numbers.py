"""Numbers of a kernel's text that become arguments."""

from dataclasses import replace

from graphdl.compiler.build import build
from graphdl.compiler.numbers import Numbers, most_numbers
from graphdl.compiler.program import Target
from graphdl.operators.convolution import Geometry, weight_gradient
from graphdl.operators.reduction import reduce
from graphdl.operators.tensor import feed, read

CPU = Target(kind="cpu", vector_width=8, compute_units=2)


def taken(*lines, most=100):
    numbers = Numbers(most)
    return [numbers.taken_from(line) for line in lines], numbers


def test_the_division_of_work_is_given_by_arguments():
    lines, numbers = taken("const int begin = item % 4 * 16, end = min(item % 4 * 16 + 16, 64);")
    assert lines == ["const int begin = item % n0 * n1, end = min(item % n0 * n1 + n1, n2);"]
    assert numbers.values == (4, 16, 64)
    assert numbers.parameters == ["const int n0", "const int n1", "const int n2"]


def test_short_loops_and_steps_stay():
    lines, _ = taken("for (int i0 = 0; i0 < 32; i0 += 1) {", "for (int i0 = 0; i0 < 33; i0 += 16) {")
    assert lines == ["for (int i0 = 0; i0 < 32; i0 += 1) {", "for (int i0 = 0; i0 < n0; i0 += 16) {"]


def test_divisors_and_lanes_stay():
    same = ["const int i0 = (row / 56) % 57;", "const float2 t1 = (float2)(p0[i0 + 64], p0[i0 + 128]);"]
    assert taken(*same)[0] == same


def test_extents_of_rows_become_arguments():
    lines, numbers = taken(
        "int i1 = ((first_row / 30) % 40);", "if (++i2 == 30) { i2 = 0;", "if (++i1 == 40) { i1 = 0;", "++i0; } }"
    )
    assert lines == [
        "int i1 = ((first_row / n0) % n1);", "if (++i2 == n0) { i2 = 0;", "if (++i1 == n1) { i1 = 0;", "++i0; } }"
    ]  # fmt: skip
    assert numbers.values == (30, 40)


def test_strides_and_floats_become_arguments():
    lines, numbers = taken("const float8 t1 = (LOAD_VECTOR(float, 8, p0 + (i0 * 640 + i1)) + (float8)(1e-05f));")
    assert lines == ["const float8 t1 = (LOAD_VECTOR(float, 8, p0 + (i0 * n0 + i1)) + (float8)(n1));"]
    assert numbers.values == (640, 1e-05)
    assert [type(value) for value in numbers.values] == [int, float]


def test_zero_and_one_stay_and_equal_numbers_are_one_argument():
    lines, numbers = taken("const float t1 = (0.0f - 1.0f) * 2.5f + 2.5f - (-2.5f);")
    assert lines == ["const float t1 = (0.0f - 1.0f) * n0 + n0 - (-n0);"]
    assert numbers.values == (2.5,)


def test_there_are_no_more_arguments_than_a_kernel_may_have():
    lines, numbers = taken("const int first_row = item * 5;", "const int last_row = min(first_row + 5, 7);", most=1)
    assert lines == ["const int first_row = item * n0;", "const int last_row = min(first_row + n0, 7);"]
    assert numbers.values == (5,)
    assert [most_numbers(count, CPU) for count in (0, 60, 70)] == [256, 16, 0]
    assert most_numbers(3, replace(CPU, kind="gpu")) == 0


def test_sums_of_many_sizes_are_one_kernel():
    def kernels(target):
        fetches = {}
        for rows, columns in ((900, 64), (700, 128), (2000, 640)):
            x = feed(f"{rows} rows", (rows, columns))
            fetches[f"{rows} sums"] = reduce("sum", x * 0.5, (0,)) / rows
        return build(fetches, {}, target).kernels

    assert len(kernels(CPU)) == 1
    assert len(kernels(replace(CPU, kind="gpu"))) >= 3


def test_updates_of_many_sizes_are_one_kernel():
    """The step of an optimizer follows a hand-written kernel: the numbers of its formula are arguments, too."""
    updates = {}
    for channels, filters in ((32, 64), (48, 128), (64, 96)):
        x, g = feed(f"x {channels}", (2, channels, 22, 22)), feed(f"g {channels}", (2, filters, 18, 18))
        shape = (filters, channels, 5, 5)
        gradient = weight_gradient(x, g, shape, Geometry((1, 1), (1, 1), 1))
        updates[f"w {channels}"] = read(f"w {channels}", shape) - gradient * (1 / channels)
    kernels = build({}, updates, CPU).kernels
    assert len([name for name in kernels if name.startswith("unpack_filters")]) == 1
