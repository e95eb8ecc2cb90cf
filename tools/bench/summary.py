"""The records of a machine, put together for the tables."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence

from records import Record, chosen, newest


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """The lower quartile, the median and the upper quartile."""
    if len(values) < 2:
        return values[0], values[0], values[0]
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, middle, high


def ratios(record: Record, peer: str) -> list[float]:
    """A peer's time over graphdl's, round by round. Of two layouts the one with the lower median counts."""
    ours, pairs = record["seconds"]["graphdl"], []
    for name, times in record["seconds"].items():
        if name.startswith(peer):
            pairs.append([theirs / mine for mine, theirs in zip(ours, times, strict=True)])
    return min(pairs, key=statistics.median) if pairs else []


def contestant(record: Record, peer: str) -> str | None:
    """The name under which the better layout of a peer was recorded."""
    names = [name for name in record["seconds"] if name.startswith(peer)]
    return min(names, key=lambda name: statistics.median(record["seconds"][name])) if names else None


class Results:
    """All records of a machine."""

    def __init__(self, records: Iterable[Record]) -> None:
        self.records = list(records)
        self.runtimes = list(dict.fromkeys(record["runtime"] for record in self.records))
        self.peaks = {
            runtime: max((r["facts"]["peak"] for r in self.of("peak", "") if r["runtime"] == runtime), default=0.0)
            for runtime in self.runtimes
        }

    @property
    def peak(self) -> float:
        """FLOP/s: the most that any runtime reached."""
        return max(self.peaks.values(), default=0.0)

    def of(self, section: str, row: str, batch: int | None = None) -> list[Record]:
        return chosen(self.records, section, row, batch)

    def last(self, section: str, row: str, runtime: str) -> Record | None:
        found = [record for record in self.of(section, row) if record["runtime"] == runtime]
        return found[-1] if found else None

    def found(self, section: str, row: str, batch: int, runtime: str, peer: str) -> Record | None:
        """The newest record in which a peer, in either layout, raced."""
        records = self.of(section, row, batch)
        names = dict.fromkeys(name for r in records for name in r.get("seconds", {}) if name.startswith(peer))
        found = [record for name in names if (record := newest(records, runtime, name)) is not None]
        return max(found, key=records.index) if found else None

    def ratio(self, section: str, row: str, batch: int, peer: str) -> float | None:
        """The median ratio on the runtime where it is greatest."""
        found = [self.found(section, row, batch, runtime, peer) for runtime in self.runtimes]
        medians = [statistics.median(ratios(record, peer)) for record in found if record is not None]
        return max(medians, default=None)


def mebibytes(size: float) -> str:
    return f"{size / 2**20:.0f} MiB"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines) + "\n"
