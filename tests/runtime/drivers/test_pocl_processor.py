"""PoCL on a processor that its LLVM does not know."""

import pytest

from graphdl.diagnostics import DeviceError
from graphdl.runtime.drivers.pocl_processor import (
    PROCESSORS,
    known_processor,
    processor_flags,
    refused_processor,
    rename_processor,
)

ON_TOMORROWS_PROCESSOR = """
import ctypes, struct
from graphdl.runtime.drivers import pocl

# PoCL's function that answers the processor's name, made to answer what LLVM answers on a processor it does not know.
library = ctypes.CDLL(str(pocl.find_library()))
libc = ctypes.CDLL(None, use_errno=True)
name = ctypes.create_string_buffer(b"generic")
place = ctypes.cast(library.pocl_get_llvm_cpu_name, ctypes.c_void_p).value
strdup = ctypes.cast(libc.strdup, ctypes.c_void_p).value
code = b"\\x48\\xbf" + struct.pack("<Q", ctypes.addressof(name))  # mov rdi, name
code += b"\\x48\\xb8" + struct.pack("<Q", strdup) + b"\\xff\\xe0"  # mov rax, strdup; jmp rax
assert libc.mprotect(ctypes.c_void_p(place & ~4095), ctypes.c_size_t(8192), 7) == 0
ctypes.memmove(place, code, len(code))
"""


def test_the_refusal_is_read_from_the_log():
    assert refused_processor("error: unknown target CPU 'generic'\nfailed") == "generic"
    assert refused_processor("error: use of undeclared identifier 'generic'") is None


def test_the_best_name_that_the_flags_allow():
    everything = frozenset().union(*(flags for _, flags in PROCESSORS))
    assert known_processor(everything) == "x86-64-v4"
    assert known_processor(everything - {"avx512bw"}) == "x86-64-v3"
    assert known_processor(everything - {"avx512bw", "fma"}) == "sandybridge"
    assert known_processor(everything - {"avx512bw", "fma", "avx"}) == "x86-64"
    assert known_processor(frozenset()) == "x86-64"
    assert processor_flags()


def test_a_processor_unknown_to_llvm_is_given_a_known_name(run):
    without = run(
        ON_TOMORROWS_PROCESSOR
        + "from graphdl.runtime import devices\n"
        + "devices.refused_processor = lambda log: None\n"
        + "print(devices.probe(devices.choose('portable')))\n"
    )
    assert "unknown target CPU 'generic'" in without.stderr
    cured = run(
        ON_TOMORROWS_PROCESSOR
        + "from graphdl.runtime import devices\n"
        + "devices.fault = lambda device: None\n"
        + "info = devices.open_device('portable').info\n"
        + "print(info.platform, *(quirk.reference for quirk in info.quirks if quirk.name == 'unknown-processor'))\n"
    )
    assert cured.stdout == (
        "Portable Computing Language "
        f"its compiler does not know this processor ('generic') and builds for {known_processor(processor_flags())}\n"
    ), cured.stderr


def test_llvm_knows_each_name(run):
    result = run(
        "from graphdl.runtime.devices import choose\n"
        + "from graphdl.runtime.drivers.pocl_processor import PROCESSORS, rename_processor\n"
        + "from graphdl.runtime.opencl import build_program, open_info\n"
        + "info = choose('portable')\n"
        + "name = info.version.rpartition('-')[2]\n"
        + "for known, _ in PROCESSORS:\n"
        + "    rename_processor(info.handle.int_ptr, name, known)\n"
        + "    name = known\n"
        + "    text = '__kernel void f(__global float *x) { x[0] = %d; }' % len(known)\n"
        + "    build_program(open_info(info).context, text)\n"
    )
    assert result.returncode == 0, result.stderr


def test_a_record_without_the_name_is_left_alone():
    import ctypes

    record = ctypes.create_string_buffer(4096)
    with pytest.raises(DeviceError, match=r"does not know this processor \('generic'\).*graphdl\[intel\].*pocl-opencl"):
        rename_processor(ctypes.addressof(record), "generic", "x86-64")
    assert record.raw == bytes(4096)
