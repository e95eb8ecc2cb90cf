"""Shallow beside deep learning on the same digits: one table and one picture.

    python tools/study                          measures what is not recorded, and writes the table and the picture
    python tools/study lenet --digits 10000     only this row
    python tools/study --again                  measures again

Features are pixels, histograms of oriented gradients and a scattering transform. They are classified by a linear
classifier and by one with a Gaussian kernel, of scikit-learn. Beside them stand a multilayer perceptron and LeNet-5.
Each is trained on the first 10,000 and on all 60,000 training images of MNIST; the kernel classifiers only on the
10,000, because their time grows with the square of the number. All are tested on the 10,000 test images. The networks
with all images are the rows of ``tools/record.py`` with these names, and their figures are taken from there. A row is
recorded in ``results/digits.json`` as soon as it is done. MNIST is searched under ``GRAPHDL_DATA``; the picture needs
``pip install -e ".[record]"``.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from time import perf_counter

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tools")]

from study import report  # noqa: E402
from study.classifiers import CONTESTANTS, FEW, digits  # noqa: E402

ALL = 60_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", metavar="row", help=f"of {', '.join(CONTESTANTS)}")
    parser.add_argument("--digits", type=int, choices=(FEW, ALL), help="only with so many training images")
    parser.add_argument("--machine", default="", help="a description of the machine, for the record")
    parser.add_argument("--again", action="store_true", help="measure what is recorded, too")
    chosen = parser.parse_args()
    if unknown := set(chosen.rows) - set(CONTESTANTS):
        parser.error(f"there is no row {', '.join(sorted(unknown))}")
    recorded = {} if chosen.again else report.read()
    for count in [chosen.digits] if chosen.digits else [FEW, ALL]:
        for name in chosen.rows or CONTESTANTS:
            if (name, count) in recorded or (count == ALL and CONTESTANTS[name].classifier == "kernel"):
                continue
            if count == ALL and CONTESTANTS[name].is_deep:
                report.take_over(name, count)
                continue
            known = digits(count)
            start = perf_counter()
            accuracy = CONTESTANTS[name].measure(known)
            report.write(report.Result.of(name, count, accuracy, perf_counter() - start, chosen.machine))
            print(f"{name} with {count:,} digits: {accuracy:.4f}", flush=True)
    for path in report.publish():
        print(f"wrote {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
