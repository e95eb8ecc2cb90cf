"""Runs a command with Intel's OpenCL runtime for CPUs made visible: ``tools/intel_opencl.py -- pytest tests/runtime``.

The packages ``intel-opencl-rt`` and ``intel-cmplr-lib-rt`` bring the runtime but tell nobody where it is. The OpenCL
loader finds drivers through ``.icd`` files in the folder that OCL_ICD_VENDORS names, and the driver finds its own
libraries through LD_LIBRARY_PATH, which must be set before the process starts. PoCL from PyOpenCL's wheel stays
visible beside it, and first in the ranking: tests run on Intel's with GRAPHDL_TEST_DEVICE=intel.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

LIBRARY = "libintelocl.so"


def main(arguments: list[str]) -> int:
    command = arguments[1:] if arguments[:1] == ["--"] else arguments
    if not command:
        print("usage: intel_opencl.py -- COMMAND [ARGUMENT...]", file=sys.stderr)
        return 2
    libraries = Path(sys.prefix) / "lib"
    if not (libraries / LIBRARY).exists():
        print(f"no {LIBRARY} in {libraries}: pip install intel-opencl-rt intel-cmplr-lib-rt", file=sys.stderr)
        return 3
    with tempfile.TemporaryDirectory(prefix="opencl-vendors-") as vendors:
        _collect_drivers(Path(vendors), libraries / LIBRARY)
        path = os.pathsep.join(filter(None, [str(libraries), os.environ.get("LD_LIBRARY_PATH")]))
        environment = os.environ | {"OCL_ICD_VENDORS": vendors, "LD_LIBRARY_PATH": path}
        return subprocess.run(command, env=environment, check=False).returncode


def _collect_drivers(folder: Path, driver: Path) -> None:
    """The system's drivers and Intel's: the loader reads one folder only."""
    for known in Path(os.environ.get("OCL_ICD_VENDORS") or "/etc/OpenCL/vendors").glob("*.icd"):
        (folder / known.name).write_text(known.read_text())
    (folder / "intel-cpu.icd").write_text(f"{driver}\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
