"""The linker for PoCL's kernels, on a machine without any other."""

import ctypes
import math
import shutil
import subprocess

import pytest

from graphdl.runtime.drivers import ld, pocl

KERNELS = """
constant float table[7] = {1.5f, 2.5f, 4.5f, 8.5f, 16.5f, 32.5f, 64.5f};

float form(int number, float x) {
    switch (number) {
        case 0: return sin(x);
        case 1: return exp(x) * 3.0f;
        case 2: return pow(x, 1.7f);
        case 3: return fmod(x, 0.3f);
        case 4: return x / 7.0f;
        case 5: return convert_float(convert_double(x) * 1e-3);
        default: return -x;
    }
}

kernel void tables(global float *x) {
    int i = get_global_id(0);
    x[i] = table[i % 7] + form(i, x[i]);
}

kernel void copies(global float *x, global const float16 *y, int n) {
    float own[4000];
    for (int i = 0; i < 4000; i++) own[i] = 0;
    for (int i = 0; i < n; i++) own[(i * 37) % 4000] += y[i % 2].s3;
    x[0] = own[n];
    x[1] = own[37];
}
"""

CODE = f"""
import numpy as np
import pyopencl as cl
from graphdl.runtime import devices
from graphdl.runtime.opencl import build_program

devices.fault = lambda device: None
device = devices.open_device("portable")
program = build_program(device.context, '''{KERNELS}''')
x = np.linspace(0.5, 1.5, 8).astype(np.float32)
y = np.arange(32, dtype=np.float32)
flags = cl.mem_flags.READ_WRITE | cl.mem_flags.COPY_HOST_PTR
results, given = (cl.Buffer(device.context, flags, hostbuf=values) for values in (x, y))
for name, size, arguments in (("tables", 8, ()), ("copies", 1, (given, np.int32(3)))):
    kernel = cl.Kernel(program, name)
    kernel.set_args(results, *arguments)
    cl.enqueue_nd_range_kernel(device.queue, kernel, (size,), (1,))
    out = np.empty_like(x)
    cl.enqueue_copy(device.queue, out, results)
    print(*out)
"""


@pytest.fixture
def needs_pocl() -> None:
    if pocl.find_library() is None:
        pytest.skip("needs pocl-binary-distribution")


def test_kernels_are_the_same_as_with_the_systems_linker(run, tmp_path, needs_pocl):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "ld").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "bin" / "ld").chmod(0o755)
    with_system = run(CODE)
    assert with_system.returncode == 0, with_system.stderr
    for path in (tmp_path / "bin", tmp_path / "none"):
        alone = run(CODE, PATH=str(path), POCL_CACHE_DIR=str(tmp_path / path.name / "pocl"))
        assert alone.stdout == with_system.stdout, alone.stderr
        assert alone.stderr == ""


@pytest.mark.parametrize("content", [b"", b"\x7fELF", b"\x7fELF\x02\x01\x01" + bytes(200)])
def test_what_is_no_object_is_refused(tmp_path, capsys, content):
    (tmp_path / "a.so.o").write_bytes(content)
    assert ld.main(["-shared", "-o", str(tmp_path / "a.so"), str(tmp_path / "a.so.o"), "-lgcc"]) == 1
    assert "graphdl's linker" in capsys.readouterr().err
    assert not (tmp_path / "a.so").exists()


C = """
#include <math.h>
#include <string.h>
static double own[3] = {1, 2, 3}, zeros[100];
double *const places[2] = {own, own + 2};
double pick(int i) { return *places[i] + zeros[i]; }
double both(double x, char *to, const char *from, int n) { memcpy(to, from, n); own[1] += x; return sin(x) + own[1]; }
void *outside(void) { return (void *)&memset; }
"""


@pytest.mark.parametrize("options", [["-O0"], ["-O2"], ["-O2", "-fno-plt"]])
def test_symbols_from_outside_and_pointers(tmp_path, options):
    compiler = shutil.which("gcc")
    if compiler is None:
        pytest.skip("needs gcc")
    (tmp_path / "a.c").write_text(C)
    source, target = str(tmp_path / "a.so.o"), str(tmp_path / "a.so")
    subprocess.run([compiler, *options, "-fPIC", "-c", str(tmp_path / "a.c"), "-o", source], check=True)
    assert ld.main(["-shared", "-o", target, source, "-lgcc"]) == 0
    library, system = ctypes.CDLL(target), ctypes.CDLL(None)
    library.both.restype = library.pick.restype = ctypes.c_double
    library.both.argtypes = (ctypes.c_double, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_int)
    library.outside.restype = ctypes.c_void_p
    copy = ctypes.create_string_buffer(10)
    assert library.both(0.5, copy, b"hello", 5) == math.sin(0.5) + 2.5
    assert copy.value == b"hello"
    assert (library.pick(0), library.pick(1)) == (1, 3)
    assert library.outside() == ctypes.cast(system.memset, ctypes.c_void_p).value
