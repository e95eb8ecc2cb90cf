"""Measures graphdl beside PyTorch, torch.compile, ONNX Runtime and tinygrad, and writes the tables.

    python tools/bench [section or net ...] [--device intel] [--peer pytorch ...] [--rounds 9] [--seconds 60]

Sections are ``training``, ``inference``, ``feeding`` (training on a data set beside batches that are ready; it needs
``GRAPHDL_DATA``), ``memory`` (the peak of ResNet-50's training), ``start`` (from the text to the first step) and
``kernels``; without a name everything is measured. Each contestant has a process of its own and
they take turns. A row is recorded in ``results/MACHINE.jsonl`` as soon as it is done, and one that is recorded for the
device's driver with all its peers is not measured again, unless ``--again`` says so; so the command can be stopped and
started. After each row ``results/MACHINE.md`` is written from all records: of several drivers the faster one counts.

Peers come with ``pip install ".[test,bench]"``; one that is not installed is named and left out, and ``--again``
measures it once it is. torch.compile needs g++.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import records
import report
from measured_nets import NETS
from race import Contestant, ContestantError, race
from worker import Order

PEERS = ("pytorch", "compile", "onnxruntime", "tinygrad")
TINYGRAD = ("mlp", "lenet")
FED = {"mlp": 32, "lenet": 64, "resnet20": 128}
"""The nets that are trained on the data set of their file, and their batches: digits, MNIST, CIFAR-10."""
STARTED = ("lenet", "resnet18", "resnet50", "mobilenet_v2")
BATCHES = (1, 8)
MEMORY_BATCH = 8


@dataclass(frozen=True)
class Row:
    """One thing to measure; ``measure`` returns what is recorded. ``contestants`` are those whose seconds it holds."""

    section: str
    name: str
    batch: int
    contestants: tuple[str, ...]
    measure: Callable[[], dict[str, Any]]


class Bench:
    """The rows of a device with the settings of the command line."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.gpu = False
        self.file = records.file_of(options.results, options.machine)
        with Contestant(self.order("peak", "peak", "", 0), options.limit) as found:
            self.gpu, self.runtime = found.facts["gpu"], found.facts["runtime"]
            records.add(self.file, "peak", "", 0, self.runtime, {"facts": found.facts})

    def order(self, contestant: str, work: str, row: str, batch: int, **rest: bool) -> Order:
        options = self.options
        return Order(contestant, work, row, batch, options.threads, options.device, self.gpu, **rest)

    def rows(self) -> Iterator[Row]:
        for name, net in NETS.items():
            orders = self.trained(name, net.batch)
            yield Row("training", name, net.batch, tuple(orders), lambda o=orders: self.race(o))
        for name in NETS:
            for batch in BATCHES:
                orders = {c: self.order(c, "inference", name, batch) for c in self.among("onnxruntime")}
                yield Row("inference", name, batch, tuple(orders), lambda o=orders: self.race(o))
        for name, batch in FED.items():
            orders = {"graphdl": self.order("graphdl", "fed", name, batch)}
            orders["unfed"] = self.order("graphdl", "unfed", name, batch)
            yield Row("feeding", name, batch, tuple(orders), lambda o=orders: self.race(o))
        yield Row("memory", "resnet50", MEMORY_BATCH, (), self.memory)
        for name in STARTED:
            yield Row("start", name, NETS[name].batch, ("cold",), lambda n=name: self.start(n))
        for name in ("products", "convolutions"):
            yield Row("kernels", name, 0, (), lambda n=name: self.kernels(n))

    def among(self, *peers: str) -> list[str]:
        return ["graphdl", *(peer for peer in peers if peer in self.options.peer)]

    def trained(self, name: str, batch: int) -> dict[str, Order]:
        layouts = (False, True) if NETS[name].convolutional else (False,)
        orders: dict[str, Order] = {}
        for peer in self.among("pytorch", "compile", "tinygrad"):
            if peer in ("graphdl", "tinygrad"):
                if peer == "graphdl" or name in TINYGRAD:
                    orders[peer] = self.order(peer, "training", name, batch)
                continue
            for last in layouts:
                orders[peer + " channels-last" * last] = self.order(
                    "pytorch", "training", name, batch, channels_last=last, compiled=peer == "compile"
                )
        return orders

    def race(self, orders: dict[str, Order]) -> dict[str, Any]:
        return race(orders, self.options.rounds, self.options.seconds, self.options.limit)

    def memory(self) -> dict[str, Any]:
        """Bytes: of the program's plan, and by how much each process grows while it takes three steps."""
        growth, facts, missing = {}, {}, {}
        for name, order in self.trained("resnet50", MEMORY_BATCH).items():
            if name.startswith("compile"):
                continue
            try:
                with Contestant(order, self.options.limit) as found:
                    growth[name] = found.facts["growth"]
                    facts = found.facts if name == "graphdl" else facts
            except ContestantError as error:
                missing[name] = str(error)
        return {"facts": facts, "growth": growth, "missing": missing}

    def start(self, name: str) -> dict[str, Any]:
        """Seconds from the start of Python's imports to the loss of the first step, with empty caches and again."""
        order = self.order("graphdl", "training", name, NETS[name].batch)
        found: dict[str, list[float]] = {"cold": [], "warm": []}
        for _ in range(self.options.starts):
            with tempfile.TemporaryDirectory() as folder:
                for caches in found:
                    own = {"XDG_CACHE_HOME": folder, "POCL_CACHE_DIR": ""}
                    with Contestant(order, self.options.limit, own) as contestant:
                        found[caches].append(contestant.facts["first_step"])
        return {"facts": {}, "seconds": found, "missing": {}}

    def kernels(self, name: str) -> dict[str, Any]:
        with Contestant(self.order("kernels", "measured", name, 0), self.options.limit) as found:
            return {"facts": found.facts, "missing": {}}

    def done(self, row: Row, known: list[records.Record]) -> bool:
        """Whether every contestant has been measured on this runtime, or was found missing."""
        of_row = [r for r in records.chosen(known, row.section, row.name, row.batch) if r["runtime"] == self.runtime]
        have = {name for r in of_row for name in (*r.get("seconds", {}), *r["missing"])}
        return bool(of_row) and set(row.contestants) <= have


def wanted(row: Row, parts: list[str]) -> bool:
    sections = [part for part in parts if part in report.SECTIONS]
    names = [part for part in parts if part not in report.SECTIONS]
    return (not sections or row.section in sections) and (not names or row.name in names)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )  # fmt: skip
    parser.add_argument("parts", nargs="*", help="sections and nets to measure")
    parser.add_argument("--device", help="as graphdl train's")
    parser.add_argument("--peer", action="append", choices=PEERS, help="measure beside these alone")
    parser.add_argument("--rounds", type=int, default=9, help="turns of each contestant in a row, at most")
    parser.add_argument("--seconds", type=float, default=60, help="of a row, after all are prepared, at most")
    parser.add_argument("--limit", type=float, default=900, help="seconds that a contestant may take to prepare")
    parser.add_argument("--starts", type=int, default=2, help="times that the first step is measured")
    parser.add_argument("--threads", type=int, default=2, help="of each contestant")
    parser.add_argument("--machine", default=records.machine(), help="the name in the results")
    parser.add_argument("--results", type=Path, default=records.RESULTS, help="the folder of the results")
    parser.add_argument("--again", action="store_true", help="measure what is recorded, too")
    options = parser.parse_args()
    options.peer = options.peer or list(PEERS)
    if unknown := set(options.parts) - {*report.SECTIONS, *NETS, "products", "convolutions"}:
        parser.error(f"there is no section or net {', '.join(sorted(unknown))}")
    try:
        bench = Bench(options)
    except ContestantError as error:
        sys.exit(f"graphdl does not run: {error}")
    print(f"{options.machine}; {bench.runtime}", flush=True)
    for row in bench.rows():
        known = records.read(bench.file)
        if not wanted(row, options.parts) or (bench.done(row, known) and not options.again):
            continue
        try:
            record = records.add(bench.file, row.section, row.name, row.batch, bench.runtime, row.measure())
        except ContestantError as error:
            print(f"{row.section} {row.name} {row.batch}: graphdl does not run: {error}", flush=True)
            continue
        print(report.line(record), flush=True)
        bench.file.with_suffix(".md").write_text(report.markdown(options.machine, [*known, record]), "utf-8")


if __name__ == "__main__":
    main()
