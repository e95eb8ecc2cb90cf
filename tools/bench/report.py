"""The records of a machine as Markdown: what must be shown, then every row with its spread."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from typing import Any

from goals import goals
from measured_nets import NETS
from records import Record, newest
from summary import Results, contestant, mebibytes, quartiles, ratios, table

SECTIONS = ("training", "inference", "feeding", "memory", "start", "kernels")
PEERS = {"pytorch": "PyTorch", "compile": "torch.compile", "tinygrad": "tinygrad", "onnxruntime": "ONNX Runtime"}


def line(record: Record) -> str:
    """A record in a line, for the terminal."""
    words = [record["section"], record["row"], str(record["batch"] or "")]
    for name, times in record.get("seconds", {}).items():
        words.append(f"{name} {statistics.median(times) * 1e3:.2f} ms")
        if name != "graphdl" and "graphdl" in record["seconds"]:
            words.append(f"({statistics.median(ratios_of(record, name)):.2f})")
    facts = record.get("facts", {})
    if record["section"] == "memory":
        words += [f"plan {mebibytes(facts['peak_bytes'])}"]
        words += [f"{name} grows by {mebibytes(grown)}" for name, grown in record["growth"].items()]
    words += [f"{name} {ours:.0f} GFLOP/s," for name, ours, *_ in facts.get("kernels", ())]
    words += [f"[{name}: {why}]" for name, why in record["missing"].items()]
    return " ".join(words)


def ratios_of(record: Record, name: str) -> list[float]:
    return [b / a for a, b in zip(record["seconds"]["graphdl"], record["seconds"][name], strict=True)]


def markdown(machine: str, records: Iterable[Record]) -> str:
    """The whole file."""
    results = Results(records)
    when = sorted(record["when"] for record in results.records)
    peaks = ", ".join(f"{runtime} {peak / 1e9:.0f}" for runtime, peak in results.peaks.items())
    parts = [
        f"# {machine}\n",
        "`python tools/bench --device …` wrote this from the records beside it, of "
        f"{when[0]} to {when[-1]} UTC, commits {', '.join(dict.fromkeys(r['commit'] for r in results.records))}.\n\n"
        f"Measured peak, multiply-adds in registers, GFLOP/s: {peaks}. Shares are of the greatest; a "
        "kernel's share is of the peak measured in turn with it.\n\n"
        "A ratio is the peer's time over graphdl's in the same round, the median of all rounds with its quartiles: "
        "above 1, graphdl is faster. Contestants have two threads and a process each, and take turns. A training step "
        "is forward, reverse and an update by SGD with momentum, from a batch in host memory; of PyTorch's two "
        "layouts the faster one counts. Of several runtimes the better one counts.\n",
        goals(results),
    ]
    parts += [section(results, name) for name in ("training", "inference")]
    parts += [feeding(results), kernels(results), missing(results)]
    return "\n".join(part for part in parts if part)


def section(results: Results, name: str) -> str:
    """The rows of training or of inference, each on every runtime."""
    peers = ("pytorch", "compile", "tinygrad") if name == "training" else ("onnxruntime",)
    rows = []
    for net in NETS:
        for batch in sorted({record["batch"] for record in results.of(name, net)}):
            for runtime in results.runtimes:
                record = newest(results.of(name, net, batch), runtime, "graphdl")
                if record is not None:
                    rows.append(cells(results, name, net, batch, runtime, record, peers))
    head = ["net", "batch", "runtime", "graphdl, ms", "GFLOP/s", "of the peak", "launches"]
    title = {"training": "Training steps", "inference": "Inference"}[name]
    return f"## {title}\n\n" + table([*head, *(PEERS[p] + ": ms, ratio" for p in peers)], rows) if rows else ""


def cells(
    results: Results, name: str, net: str, batch: int, runtime: str, record: Record, peers: Sequence[str]
) -> list[str]:
    ours = statistics.median(record["seconds"]["graphdl"])
    speed = record["facts"]["flops"] / ours
    share = f"{speed / results.peak:.0%}" if results.peak else "–"
    row = [net, str(batch), runtime, f"{ours * 1e3:.2f}", f"{speed / 1e9:.0f}", share]
    row.append(str(record["facts"]["launches"]))
    for peer in peers:
        found = results.found(name, net, batch, runtime, peer)
        row.append("–" if found is None else against(found, peer))
    return row


def against(record: Record, peer: str) -> str:
    """A peer's milliseconds, the median ratio and its quartiles."""
    best = contestant(record, peer)
    assert best is not None
    low, middle, high = quartiles(ratios(record, peer))
    layout = " (channels last)" if best.endswith("channels-last") else ""
    return f"{statistics.median(record['seconds'][best]) * 1e3:.2f}{layout}, **{middle:.2f}** ({low:.2f}–{high:.2f})"


def feeding(results: Results) -> str:
    """Of each net that is trained on a data set: the part of a step for which the device waits for the next batch."""
    rows: list[list[str]] = []
    for net in NETS:
        for runtime in results.runtimes:
            record = results.last("feeding", net, runtime)
            if record is not None and "unfed" in record["seconds"]:
                fed, unfed = (statistics.median(record["seconds"][name]) * 1e3 for name in ("graphdl", "unfed"))
                low, middle, high = (1 - ratio for ratio in quartiles(ratios(record, "unfed")))
                gap = f"{middle:.1%} ({high:.1%} to {low:.1%})"
                rows.append([net, str(record["batch"]), runtime, f"{fed:.2f}", f"{unfed:.2f}", gap])
    head = ["net", "batch", "runtime", "fed from the data set, ms", "batches that are ready, ms", "gap"]
    return "## Feeding\n\n" + table(head, rows) if rows else ""


def kernels(results: Results) -> str:
    rows: list[list[str]] = []
    for name in ("products", "convolutions"):
        for runtime in results.runtimes:
            record = results.last("kernels", name, runtime)
            for kernel, ours, theirs, ratio, share in record["facts"]["kernels"] if record is not None else ():
                rows.append([kernel, runtime, f"{ours:.0f}", f"{share:.0%}", f"{theirs:.0f}", f"{ratio:.2f}"])
    head = ["kernel", "runtime", "graphdl, GFLOP/s", "of the peak", "PyTorch, GFLOP/s", "ratio"]
    return "## Kernels\n\n" + table(head, rows) if rows else ""


def missing(results: Results) -> str:
    """Why contestants are missing, as far as the newest record of a row says so."""
    newest_of: dict[Any, Record] = {(r["section"], r["row"], r["batch"], r["runtime"]): r for r in results.records}
    lines = [
        f"- {section} {row} {batch}, {runtime}: {name}: {why}"
        for (section, row, batch, runtime), record in newest_of.items()
        for name, why in record.get("missing", {}).items()
    ]
    return "## Not measured\n\n" + "\n".join(lines) + "\n" if lines else ""
