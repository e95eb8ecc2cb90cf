"""Joining kernel texts: names must not meet, lines must be kept."""

from graphdl.compiler.program import Kernel
from graphdl.runtime.packing import failing_kernel, joined, packs, unique_name

TEXT = """
#define TILE 4
typedef float16 wide;
typedef struct { float x; } pair;
struct state { int n; };
__constant float table[2] = {1.0f, 2.0f};
constant int limit = 3;
// int commented(void) {}
static inline float helper(float x) { return x * table[1]; }
__attribute__((always_inline)) float other(float x);
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void run(__global float *x) {
  float local_name = helper(x[0]); if (local_name > 0) { x[0] = TILE; }
}
"""


def renamed(text):
    return {line.split()[1] for line in text.splitlines() if line.startswith("#define") and "_" in line.split()[2]}


def test_every_outer_name_gets_its_own():
    names = renamed(joined([Kernel("run", TEXT)]))
    assert names == {"wide", "pair", "state", "table", "limit", "helper", "other", "run"}


def test_macros_end_with_their_text():
    assert "#undef TILE" in joined([Kernel("run", TEXT)])


def test_equal_texts_are_one_kernel():
    assert packs([Kernel("a", "x"), Kernel("a", "x")], 8) == [[Kernel("a", "x")]]


def test_a_changed_kernel_changes_one_pack():
    kernels = [Kernel(f"k{i}", "text") for i in range(40)]
    before = {tuple(pack) for pack in packs(kernels, 10)}
    after = {tuple(pack) for pack in packs([*kernels[1:], Kernel("k0", "changed")], 10)}
    assert len(before) == len(after) == 4
    assert len(before - after) <= 2


def test_a_log_names_kernel_and_line():
    good, bad = Kernel("good", "x"), Kernel("bad", "y")
    log = f"{unique_name(good)}:2:1: warning: w\n{unique_name(bad)}:7:12: error: no"
    assert failing_kernel(log, [good, bad]) == (bad, 7)
    pocl = f"warning: {unique_name(good)}:2:1: w\nerror: {unique_name(bad)}:9:12: no"
    assert failing_kernel(pocl, [good, bad]) == (bad, 9)
    assert failing_kernel("segmentation fault", [good]) is None
