"""Building kernels on a real device."""

from dataclasses import replace

import numpy as np
import pyopencl as cl
import pytest
from pyopencl import invoker

from graphdl.cache import BinaryCache
from graphdl.compiler.program import Kernel
from graphdl.diagnostics import DeviceError
from graphdl.runtime.build import build
from graphdl.runtime.opencl import open_info
from graphdl.source import Source, Span


def fill(name, value):
    """Kernels whose helper, macro and table share their names."""
    return Kernel(
        name,
        f"""#define SCALE {value}
typedef float number;
__constant number table[1] = {{ {value}.0f }};
static number helper(number x) {{ return x + table[0] * SCALE; }}
__kernel void {name}(__global float *x, ulong offset) {{ x[offset] = helper(1.0f); }}
""",
    )


def result_of(device, built, key):
    out = np.zeros(1, np.float32)
    buffer = cl.Buffer(device.context, cl.mem_flags.READ_WRITE, 4)
    kernel = built.create(key)
    kernel.set_arg(0, buffer)
    kernel.set_arg(1, np.uint64(0))
    cl.enqueue_nd_range_kernel(device.queue, kernel, (1,), (1,))
    cl.enqueue_copy(device.queue, out, buffer)
    return float(out[0])


@pytest.fixture
def fresh(device):
    """The device with nothing built, whose programs are cached on disk by us."""
    return open_info(replace(device.info, driver_caches=False))


def test_names_that_meet_do_not_clash(fresh, tmp_path):
    kernels = {"a": fill("same", 2), "b": fill("same", 3), "c": fill("other", 4)}
    built = build(fresh, kernels, cache=BinaryCache(tmp_path))
    assert [result_of(fresh, built, key) for key in "abc"] == [5, 10, 17]
    assert len({id(program) for program in fresh.built.values()}) == 1


def test_the_second_process_loads_binaries(fresh, tmp_path):
    kernels = {"a": fill("cached", 2)}
    build(fresh, kernels, cache=BinaryCache(tmp_path))
    (file,) = tmp_path.iterdir()
    before = file.stat().st_mtime_ns, file.stat().st_ino
    again = open_info(fresh.info)
    assert result_of(again, build(again, kernels, cache=BinaryCache(tmp_path)), "a") == 5
    assert file.stat().st_ino == before[1], "it was built and written again"


def test_a_binary_that_the_driver_refuses_is_rebuilt(fresh, tmp_path):
    class Wrong(BinaryCache):
        def get(self, *key):
            return b"no program of any driver"

    assert result_of(fresh, build(fresh, {"a": fill("refused", 2)}, cache=Wrong(tmp_path)), "a") == 5


def test_a_failure_names_kernel_line_and_model(fresh, tmp_path):
    source = Source("model.net", "net m {\n  y = conv(x)\n}")
    span = Span(source, 14, 21)
    bad = Kernel("bad", "__kernel void bad(__global float *x) {\n  x[0] = 1.0f;\n  x[1] = missing;\n}")
    with pytest.raises(DeviceError) as raised:
        build(fresh, {"good": fill("good", 1), "bad": bad}, {"bad": (span,)}, BinaryCache(tmp_path))
    message = str(raised.value)
    assert "kernel 'bad' does not compile" in message
    if fresh.info.kind != "simulator":  # Oclgrind counts the lines of the whole text, whatever #line says
        assert "line 3 of its text:\n    x[1] = missing;" in message
    assert "model.net:2:7" in message
    assert "undeclared identifier 'missing'" in message


def test_one_bad_text_does_not_spoil_its_pack(fresh, tmp_path):
    """Names made by macros escape the renaming and clash in one program; each kernel alone still builds."""
    sources = [
        f"#define FUNCTION(name) static float name(float x) {{ return x + {i}.0f; }}\nFUNCTION(helper)\n"
        f"__kernel void clash{i}(__global float *x, ulong offset) {{ x[offset] = helper(1.0f); }}"
        for i in (1, 2)
    ]
    kernels = {f"clash{i}": Kernel(f"clash{i}", source) for i, source in enumerate(sources, 1)}
    built = build(fresh, kernels, cache=BinaryCache(tmp_path))
    assert [result_of(fresh, built, key) for key in kernels] == [2, 3]


def test_kernels_of_one_text_have_their_own_arguments_and_one_invoker(fresh, tmp_path, monkeypatch):
    written = []
    write = invoker.generate_enqueue_and_set_args

    def counted(*arguments, **rest):
        written.append(arguments[0])
        return write(*arguments, **rest)

    monkeypatch.setattr(invoker, "generate_enqueue_and_set_args", counted)
    built = build(fresh, {"a": fill("own_arguments", 2)}, cache=BinaryCache(tmp_path))
    buffer = cl.Buffer(fresh.context, cl.mem_flags.READ_WRITE, 12)
    kernels = [built.create("a") for _ in range(3)]
    for place, kernel in enumerate(kernels):
        kernel.set_arg(0, buffer)
        kernel.set_arg(1, np.uint64(place))
    for kernel in kernels:
        cl.enqueue_nd_range_kernel(fresh.queue, kernel, (1,), (1,))
    out = np.zeros(3, np.float32)
    cl.enqueue_copy(fresh.queue, out, buffer)
    assert out.tolist() == [5, 5, 5]
    assert len(written) == 1
