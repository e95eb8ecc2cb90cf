"""The recorded results, and the table and the picture that are made of them."""

from __future__ import annotations

import subprocess
from datetime import datetime
from pathlib import Path

import msgspec
from recorded.results import read_records
from study.classifiers import CONTESTANTS, FEW

FOLDER = Path(__file__).with_name("results")
DATA, TABLE, PICTURE = "digits.json", "digits.md", "digits.png"


class Result(msgspec.Struct, frozen=True):
    """One measured row. ``seconds`` are those of features, training and prediction together."""

    row: str
    digits: int
    accuracy: float
    seconds: float
    machine: str
    when: str
    commit: str

    @classmethod
    def of(cls, row: str, digits: int, accuracy: float, seconds: float, machine: str) -> Result:
        commit = subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"], cwd=FOLDER, capture_output=True, text=True, check=True
        ).stdout.strip()
        return cls(row, digits, accuracy, round(seconds, 1), machine, f"{datetime.now():%Y-%m-%d}", commit)


def read() -> dict[tuple[str, int], Result]:
    """The results by row and number of training images."""
    path = FOLDER / DATA
    if not path.exists():
        return {}
    return {(each.row, each.digits): each for each in msgspec.json.decode(path.read_bytes(), type=list[Result])}


def write(result: Result) -> None:
    """Replaces the result of a row."""
    results = read() | {(result.row, result.digits): result}
    order = list(CONTESTANTS)
    kept = sorted(results.values(), key=lambda each: (order.index(each.row), each.digits))
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / DATA).write_bytes(msgspec.json.format(msgspec.json.encode(kept), indent=1) + b"\n")


def take_over(row: str, digits: int) -> None:
    """Takes a network's figure, of all training images, from the records of ``tools/record.py``, if it is there."""
    record = read_records().get(row)
    if record is not None:
        accuracy = float(record.figures[0].value)
        write(Result(row, digits, accuracy, record.seconds, record.machine, record.when, record.commit))


def table(results: dict[tuple[str, int], Result]) -> str:
    """The results as a page."""
    lines = [
        "# Shallow and deep on the same digits",
        "",
        "Test errors on MNIST's 10,000 test images, and seconds for features, training and prediction together.",
        "Linear is multinomial logistic regression, kernel a support vector machine with a Gaussian kernel",
        "(scikit-learn); the kernel classifiers were trained on 10,000 images only. The figures of the networks with",
        "all images are those of [the models](../../../models/README.md). Written by `python tools/study`.",
        "",
        "| features | classifier | 10,000 training images | seconds | 60,000 training images | seconds |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for row, contestant in CONTESTANTS.items():
        cells = [contestant.features, contestant.classifier]
        for count in (FEW, 60_000):
            result = results.get((row, count))
            cells += ["–", "–"] if result is None else [f"{1 - result.accuracy:.2%}", f"{result.seconds:.0f}"]
        lines.append(f"| {' | '.join(cells)} |")
    places = sorted({f"{each.when}, {each.machine}, commit {each.commit}" for each in results.values()})
    return "\n".join([*lines, "", f"![Test errors]({PICTURE})", "", *(f"{place}." for place in places)]) + "\n"


def publish() -> list[Path]:
    """Writes the table and the picture; returns their paths."""
    results = read()
    (FOLDER / TABLE).write_text(table(results), "utf-8")
    draw(results)
    return [FOLDER / TABLE, FOLDER / PICTURE]


def draw(results: dict[tuple[str, int], Result]) -> None:
    """Draws the test errors of all rows, on a logarithmic scale, those of few training images beside those of all."""
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6.4, 3.4), layout="constrained")
    names = [f"{each.features}, {each.classifier}" for each in CONTESTANTS.values()]
    places = {row: -k for k, row in enumerate(CONTESTANTS)}
    for count, marker, color in ((FEW, "o", "#0072b2"), (60_000, "s", "#d55e00")):
        found = [each for each in results.values() if each.digits == count]
        errors = [100 * (1 - each.accuracy) for each in found]
        axes.plot(errors, [places[each.row] for each in found], marker, color=color, label=f"{count:,} training images")
    axes.set_xscale("log")
    axes.set_xticks([0.5, 1, 2, 5, 10], ["0.5", "1", "2", "5", "10"])
    axes.set_xticks([], minor=True)
    axes.set_yticks(list(places.values()), names, fontsize=8)
    axes.set_xlabel("test error, %")
    axes.grid(axis="x", linewidth=0.4)
    axes.legend(fontsize=8)
    figure.savefig(FOLDER / PICTURE, dpi=110)
    pyplot.close(figure)
