"""What must be shown, and what was reached."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping

from measured_nets import NETS
from summary import Results, mebibytes, table

PHOTOGRAPHS = ("alexnet", "vgg16", "resnet18", "resnet50", "googlenet", "densenet121", "mobilenet_v2", "resnet20")
LEAST = {"mlp": 2.0, "lenet": 2.0, "transformer": 2.0, "lstm": 1.5}
COLD = {"lenet": 2, "resnet18": 8, "resnet50": 12, "mobilenet_v2": 12}
WARM = 3


def goals(results: Results) -> str:
    """A table with a row for each goal that has been measured, wholly or in part."""
    rows: list[list[str]] = []

    def add(work: str, against: str, goal: str, reached: str, fulfilled: bool) -> None:
        rows.append([work, against, goal, reached, "yes" if fulfilled else "no"])

    for net, least in LEAST.items():
        ratio = results.ratio("training", net, NETS[net].batch, "pytorch")
        if ratio is not None:
            add(f"training step, {net}", "PyTorch", f"{least}", f"{ratio:.2f}", ratio >= least)
    for peer, title, mean, least in (("pytorch", "PyTorch", 1.5, 1.2), ("compile", "torch.compile", 1.2, 0.0)):
        found = {net: results.ratio("training", net, NETS[net].batch, peer) for net in PHOTOGRAPHS}
        some = {net: ratio for net, ratio in found.items() if ratio is not None}
        if some:
            low = min(some, key=some.__getitem__)
            reached = f"{of(some, found)} {middle(some.values()):.2f}, least {some[low]:.2f} ({low})"
            goal = f"geometric mean {mean}" + f", none under {least}" * bool(least)
            work = "training step, nets of images"
            add(work, title, goal, reached, middle(some.values()) >= mean and some[low] >= least)
    pairs = {(net, batch): results.ratio("inference", net, batch, "onnxruntime") for net in NETS for batch in (1, 8)}
    some_pairs = {pair: ratio for pair, ratio in pairs.items() if ratio is not None}
    if some_pairs:
        value = middle(some_pairs.values())
        reached = f"{of(some_pairs, pairs)} {value:.2f}"
        add("inference, batch 1 and 8", "ONNX Runtime", "geometric mean 1.0", reached, value >= 1)
    for net in ("mlp", "lenet"):
        ratio = results.ratio("training", net, NETS[net].batch, "tinygrad")
        if ratio is not None:
            add(f"training step, {net}", "tinygrad", "10", f"{ratio:.1f}", ratio >= 10)
    for name, title, part in (("products", "matrix products", 0.85), ("convolutions", "3×3 convolutions", 1.0)):
        best: dict[str, float] = {}
        for record in results.of("kernels", name):
            for kernel, *_, share in record["facts"]["kernels"]:
                best[kernel] = max(best.get(kernel, 0.0), share)
        if best:
            low, share = min(best, key=best.__getitem__), statistics.median(best.values())
            reached = f"median {share:.0%}, least {best[low]:.0%} ({low})"
            add(title, "measured peak", f"{part:.0%}", reached, best[low] >= part)
    memory = [record for runtime in results.runtimes if (record := results.last("memory", "resnet50", runtime))]
    memory = [r for r in memory if any(name.startswith("pytorch") for name in r["growth"])]
    if memory:
        ratio, plan, grown = min(
            (r["facts"]["peak_bytes"] / grown, r["facts"]["peak_bytes"], grown)
            for r in memory
            for grown in [min(size for name, size in r["growth"].items() if name.startswith("pytorch"))]
        )
        reached = f"{ratio:.2f}: {mebibytes(plan)}, {mebibytes(grown)}"
        add("peak memory, ResNet-50 training batch 8", "PyTorch's resident growth", "0.8", reached, ratio <= 0.8)
    for net, cold in COLD.items():
        starts = [record["seconds"] for runtime in results.runtimes if (record := results.last("start", net, runtime))]
        if starts:
            first, again = (min(statistics.median(s[caches]) for s in starts) for caches in ("cold", "warm"))
            reached = f"{first:.1f} s, {again:.1f} s"
            fulfilled = first <= cold and again <= WARM
            add(f"first step, {net}", "caches cold; warm", f"{cold} s; {WARM} s", reached, fulfilled)
    head = ["work", "against", "goal", "reached", "fulfilled"]
    return "## What must be shown\n\n" + table(head, rows) if rows else ""


def middle(values: Iterable[float]) -> float:
    """The geometric mean."""
    return statistics.geometric_mean(values)


def of(some: Mapping, every: Mapping) -> str:
    return "geometric mean" if len(some) == len(every) else f"geometric mean of {len(some)} of {len(every)}"
