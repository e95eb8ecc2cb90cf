"""Records the figures of the systems in ``models/``, and writes ``models/README.md`` from them.

    python tools/record.py                 lists the rows, with what is recorded
    python tools/record.py xor lenet       runs these rows and records their figures
    python tools/record.py --gallery       only writes models/README.md

A row is a system: a file of ``models/``, its published figure, and how ours is measured. The commands of graphdl that
measure it are recorded with the figure, the machine and the time. Data sets are searched under
``GRAPHDL_DATA``. The pictures of some rows need ``matplotlib``: ``pip install -e ".[record]"``.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tools")]

from recorded.gallery import write_gallery  # noqa: E402
from recorded.results import Record, read_records, write_record  # noqa: E402
from recorded.rows import ROWS  # noqa: E402
from recorded.runner import Runner  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", metavar="row", help=f"of {', '.join(ROWS)}")
    parser.add_argument("--device", help="as graphdl's --device")
    parser.add_argument("--machine", default="", help="a description of the machine, for the record")
    parser.add_argument("--gallery", action="store_true", help="only write models/README.md")
    chosen = parser.parse_args()
    if unknown := set(chosen.rows) - set(ROWS):
        parser.error(f"there is no row {', '.join(sorted(unknown))}")
    for name in chosen.rows:
        row = ROWS[name]
        with tempfile.TemporaryDirectory() as scratch:
            runner = Runner(Path(scratch), chosen.device)
            figures = row.measure(runner)
            record = Record.of(name, figures, runner, chosen.machine)
        write_record(record)
        print("\n".join(f"{name}: {figure}" for figure in figures), flush=True)
    if chosen.rows or chosen.gallery:
        print(f"wrote {write_gallery(ROWS).relative_to(ROOT)}")
        return
    records = read_records()
    for name, row in ROWS.items():
        record = records.get(name)
        print(f"{name:16} {row.title}: " + ("; ".join(map(str, record.figures)) if record else "not recorded"))


if __name__ == "__main__":
    main()
