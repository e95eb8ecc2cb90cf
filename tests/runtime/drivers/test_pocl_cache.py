"""PoCL's cache of kernels: damage is found before PoCL reads it."""

import os
import shutil
from pathlib import Path

import pytest

from graphdl.runtime.drivers.pocl_cache import KernelCache

PROBE = """
from graphdl.runtime import devices
devices.fault = lambda device: None  # without the self-test there is one kernel
print(devices.open_device("portable").info.platform)
"""
WORKS = "Portable Computing Language\n"


def kernels(tmp_path: Path) -> Path:
    (folder,) = (tmp_path / "cache" / "graphdl" / "pocl").iterdir()
    return folder / "kernels"


def damage(path: Path, how: str) -> None:
    content = path.read_bytes()
    match how:
        case "random":
            path.write_bytes(os.urandom(len(content)))
        case "cut":
            path.write_bytes(content[: len(content) // 2])
        case "emptied":
            path.write_bytes(b"")
        case "flipped":
            path.write_bytes(content[:-300] + bytes([content[-300] ^ 1]) + content[-299:])
        case "missing":
            path.unlink()


@pytest.fixture
def filled(run, tmp_path):
    """A cache that PoCL has filled with a kernel, closed."""
    assert run(PROBE).stdout == WORKS
    return KernelCache(kernels(tmp_path).parent)


def test_damage_is_found_by_checksum(filled, tmp_path):
    for which in ("*.so", "program.bc"):
        for how in ("random", "cut", "emptied", "flipped", "missing"):
            copy = KernelCache(tmp_path / which.removeprefix("*") / how)
            shutil.copytree(filled.folder, copy.folder)
            (path,) = copy.kernels.rglob(which)
            damage(path, how)
            copy.open()
            assert not [path for path in copy.kernels.rglob("*") if path.is_file()], (which, how)


def test_what_a_killed_process_left_is_judged_by_its_form(filled, tmp_path):
    (filled.folder / "list").unlink()
    for which in ("*.so", "program.bc"):
        for how in ("none", "random", "emptied"):
            copy = KernelCache(tmp_path / which.removeprefix("*") / how)
            shutil.copytree(filled.folder, copy.folder)
            (path,) = copy.kernels.rglob(which)
            damage(path, how)
            copy.open()
            assert path.exists() == (how == "none"), (which, how)


def test_damaged_kernels_are_made_anew(run, filled):
    for path, how in zip(
        [*filled.kernels.rglob("*.so"), *filled.kernels.rglob("*.bc")], ("cut", "random"), strict=True
    ):
        damage(path, how)
    result = run(PROBE)
    assert (result.returncode, result.stdout) == (0, WORKS)
    assert "1 damaged programs" in result.stderr
    again = run(PROBE)
    assert (again.stdout, again.stderr) == (WORKS, "")


def test_a_file_in_the_way_of_the_kernels(run, filled):
    shutil.rmtree(filled.kernels)
    filled.kernels.write_text("in the way")
    assert run(PROBE).stdout == WORKS


@pytest.mark.parametrize("variable", ["XDG_CACHE_HOME", "POCL_CACHE_DIR"])
def test_a_folder_that_cannot_be_is_replaced_with_one_line(run, tmp_path, variable):
    file = tmp_path / "file"
    file.write_text("in the way")
    result = run(PROBE, **{variable: str(file)})
    assert result.stdout == WORKS
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"the cache folder {file}")
    assert line.endswith("a temporary one takes its place")


def test_without_a_home_there_is_a_device(run):
    assert run(PROBE, HOME="/dev/null", XDG_CACHE_HOME=None).stdout == WORKS


def test_programs_used_longest_ago_go_first(tmp_path):
    cache = KernelCache(tmp_path, limit=250)
    for age, name in enumerate(("AA/NEW", "BB/OLD", "CC/OLDER")):
        program = cache.kernels / name
        program.mkdir(parents=True)
        (program / "program.bc").write_bytes(b"BC\xc0\xde" + bytes(96))
        (program / "last_accessed").touch()
        os.utime(program / "last_accessed", (1000 - age, 1000 - age))
    cache.open()
    assert sorted(path.name for path in cache.kernels.glob("*/*")) == ["NEW", "OLD"]


def test_a_cache_in_use_is_not_touched(tmp_path):
    cache = KernelCache(tmp_path)
    cache.open()
    unfinished = cache.kernels / "tempfile_of_the_other"
    unfinished.touch()
    KernelCache(tmp_path).open()
    assert unfinished.exists()
