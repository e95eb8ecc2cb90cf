"""Which drivers are found, which are passed over, and what is said about them."""

import shutil
from pathlib import Path

import pytest

from graphdl.runtime.drivers import intel, pocl
from graphdl.runtime.drivers.loader import Runtime, load_failure

SHOW = """
from graphdl.runtime.devices import all_devices
from graphdl.runtime.drivers.loader import runtimes
for info in all_devices():
    print(info.platform)
for runtime in runtimes():
    print(runtime.problem)
"""


@pytest.fixture
def copied_pocl(tmp_path) -> Path:
    """A folder for PYTHONPATH with PoCL's package in it, as ``pip install --target`` leaves it, by hard links."""
    library = pocl.find_library()
    if library is None:
        pytest.skip("needs pocl-binary-distribution")
    packages = library.parents[2]
    names = ["pocl_binary_distribution", next(packages.glob("pocl_binary_distribution-*.dist-info")).name]
    target = tmp_path / "packages"
    for name in names:
        shutil.copytree(packages / name, target / name, copy_function=_link)
    (target / "pyopencl" / ".libs").mkdir(parents=True)
    for file in (library, library.with_name("pocl.icd")):
        _link(file, target / "pyopencl" / ".libs" / file.name)
    return target


def _link(source, target):
    Path(target).symlink_to(source)


def _first_on_path(folder: Path) -> str:
    """Code that lets the packages of a folder be found before others."""
    return f"import sys\nsys.path.insert(0, {str(folder)!r})\n"


def _replace(path: Path, content: bytes) -> None:
    path.unlink()
    path.write_bytes(content)


def test_pocl_beside_another_pyopencl_is_found(run, copied_pocl):
    result = run(_first_on_path(copied_pocl) + SHOW)
    assert "Portable Computing Language" in result.stdout, result.stderr


@pytest.mark.parametrize("how", ["cut", "gone", "no built-ins"])
def test_a_broken_pocl_is_named_and_passed_over(run, copied_pocl, how):
    library = next((copied_pocl / "pyopencl" / ".libs").glob("*.so"))
    if how == "cut":
        _replace(library, library.read_bytes()[:1000])
    elif how == "gone":
        library.unlink()
    else:
        next(copied_pocl.rglob("kernel-*-sse2.bc")).unlink()
    result = run(_first_on_path(copied_pocl) + SHOW)
    assert result.returncode == 0, result.stderr
    assert "repair it: pip install --force-reinstall --no-deps pocl-binary-distribution" in result.stdout


def test_a_broken_runtime_beside_the_loader_is_kept_from_it(run):
    code = (
        "from graphdl.runtime.drivers import intel, pocl\n"
        "pocl.damage = lambda: 'libpocl.so has 3 bytes in place of 4'\n"
        "intel.find_library = lambda: None\n"
        "intel.is_installed = lambda: False\n"
    )
    shown = run(code + SHOW)
    assert "Portable" not in shown.stdout
    assert shown.returncode == 0, shown.stderr
    failed = run(code + "from graphdl.runtime import open_device\nopen_device()")
    assert "3 bytes in place of 4; repair it: pip install" in failed.stderr


def test_the_systems_drivers_stay_beside_those_of_pip(run, copied_pocl, tmp_path):
    if intel.find_library() is None:
        pytest.skip("needs intel-opencl-rt")
    (tmp_path / "vendors").mkdir()
    library = next((copied_pocl / "pyopencl" / ".libs").glob("*.so"))
    (tmp_path / "vendors" / "system.icd").write_text(f"{library}\n")
    code = (
        "from pathlib import Path\n"
        "from graphdl.runtime.drivers import loader\n"
        f"loader._SYSTEM_FOLDER = Path({str(tmp_path / 'vendors')!r})\n"
        "loader.pocl.find_library = lambda: None\n"
        "loader.cl.__file__ = '/nonexistent/__init__.py'\n"
    )
    result = run(code + SHOW + "import os\nprint(os.environ.get('OCL_ICD_VENDORS'))")
    assert "Portable Computing Language" in result.stdout, result.stderr
    assert "Intel(R) OpenCL" in result.stdout
    assert result.stdout.endswith("None\n")  # the variable is as it was


def test_windows_lacks_what_only_pocl_needs(run):
    result = run("import sys\nsys.modules['fcntl'] = None\nimport graphdl.runtime")
    assert result.returncode == 0, result.stderr


def test_intels_package_without_its_files_is_named(run, tmp_path):
    info = tmp_path / "target" / "intel_opencl_rt-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: intel-opencl-rt\nVersion: 1.0\n")
    (info / "RECORD").write_text("../../lib/libintelocl.so,,\n")
    code = "from graphdl.runtime.drivers import intel\nintel.sys.prefix = '/nonexistent'\n"
    result = run(_first_on_path(tmp_path / "target") + code + SHOW)
    assert "pip's --target leaves them out" in result.stdout, result.stderr


def test_a_cut_off_library_of_intels_is_named(run, tmp_path):
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / intel.LIBRARY).write_bytes(b"\x7fELF")
    code = (
        "from pathlib import Path\nfrom graphdl.runtime.drivers import intel\n"
        f"intel.find_library = lambda: Path({str(tmp_path / 'lib' / intel.LIBRARY)!r})\n"
    )
    assert "the library is cut off; repair it: pip install" in run(code + SHOW).stdout


def test_why_a_library_cannot_be_loaded(tmp_path):
    (tmp_path / "text.so").write_text("no library")
    assert "file too short" in (load_failure(Runtime(str(tmp_path / "text.so"), "", True)) or "")
    assert "cannot open" in (load_failure(Runtime(str(tmp_path / "none.so"), "", True)) or "")
    assert load_failure(Runtime("libc.so.6", "", True)) is None
