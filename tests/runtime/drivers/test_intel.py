"""Intel's runtime, found where pip put it. Without the package these tests are skipped."""

import os
import shutil
from pathlib import Path

import pytest

from graphdl.runtime.drivers import intel

SHOW = """
import hashlib
from graphdl.runtime.devices import all_devices
from graphdl.runtime.opencl import build_program, open_info
for info in all_devices():
    if "Intel(R) OpenCL" in info.platform:
        text = "kernel void f(global float *x, int n) { for (int i = 0; i < n; i++) x[i] = x[n] * 3; }"
        program = build_program(open_info(info).context, text)
        print(info.memory, info.max_allocation, info.local_memory, info.max_work_group)
        print(hashlib.sha256(program.binaries[0]).hexdigest())
"""

NOT_PINNED = "from graphdl.runtime.drivers import intel\nintel.SETTINGS.clear()\n"

HOSTILE = {
    "CPU_FORCE_GLOBAL_MEM_SIZE": "300MB",
    "CPU_FORCE_LOCAL_MEM_SIZE": "40KB",
    "CPU_FORCE_MAX_MEM_ALLOC_SIZE": "17MB",
    "CPU_FORCE_MAX_WORK_GROUP_SIZE": "9000",
    "CPU_RT_LOOP_UNROLL_FACTOR": "16",
    "CPU_TARGET_ARCH": "corei7",
    "DUMP_ASM": "True",
    "DUMP_BIN": "True",
    "DUMP_DISASSEMBLY": "True",
    "DUMP_FILE_NAME_PREFIX": "hostile",
    "LOG_FILE": "hostile.log",
    "REPLACE_IR_AFTER_OPTIMIZER": "hostile.ll",
    "USER_LOGGER": "stderr",
    "USE_FAST_RELAXED_MATH": "True",
    "USE_VECTORIZER": "False",
}


@pytest.fixture
def library() -> Path:
    found = intel.find_library()
    if found is None:
        pytest.skip("needs intel-opencl-rt")
    return found


def test_it_is_found_without_any_variable(run, library):
    result = run(SHOW)
    assert len(result.stdout.split()) == 5, result.stderr


def test_settings_in_the_current_folder_change_nothing(run, library, tmp_path):
    folder = tmp_path / "hostile"
    folder.mkdir()
    settings = "".join(f"CL_CONFIG_{name} = {value}\n" for name, value in HOSTILE.items())
    (folder / "cl.cfg").write_text(settings)
    pinned = run(SHOW, folder=folder)
    assert os.listdir(folder) == ["cl.cfg"]
    assert pinned.stdout == run(NOT_PINNED + SHOW).stdout, pinned.stderr
    assert pinned.stdout != run(NOT_PINNED + SHOW, folder=folder).stdout


def test_a_users_choice_of_drivers_is_left_alone(run, library, tmp_path):
    (tmp_path / "none").mkdir()
    assert run(SHOW, OCL_ICD_VENDORS=str(tmp_path / "none")).stdout == ""


def test_a_path_with_a_space_is_replaced_by_links(library, tmp_path, monkeypatch):
    folder = tmp_path / "a space" / "lib"
    folder.mkdir(parents=True)
    for name in ("libintelocl.so", "cl.cfg"):
        (folder / name).write_text(name)
    path = intel.without_spaces(folder / "libintelocl.so", tmp_path / "a space")
    assert " " not in str(path)
    assert path.samefile(folder / "libintelocl.so")
    assert (path.parent / "cl.cfg").samefile(folder / "cl.cfg")
    assert intel.without_spaces(folder / "libintelocl.so", tmp_path / "a space") == path
    assert intel.without_spaces(library, tmp_path) == library
    shutil.rmtree(path.parent)
