"""Kills a training at random moments and holds it against one that was left alone: ``python tools/kills.py``.

LeNet is trained on a part of MNIST (``GRAPHDL_DATA`` names the folder of data sets), once without a disturbance, and
once in a process that gets SIGKILL at a random moment, is continued, killed again, and so on. The weights, what the
optimizer keeps, and every line of metrics but for the clock's entries must be equal, bit for bit.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import graphdl  # noqa: E402
from graphdl.data import sets  # noqa: E402
from graphdl.graph.train import setting_of  # noqa: E402
from graphdl.model import resume  # noqa: E402
from graphdl.training import checkpoint, fit  # noqa: E402
from graphdl.training.loop import Observer, Status  # noqa: E402
from graphdl.training.run import METRICS, SETTINGS, TIMINGS, open_run  # noqa: E402

LENET = ROOT / "models" / "vision" / "lenet.net"
HELD_OUT = 500
SAVE_SECONDS = 0.3
DATA = "part.npz"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition(":")[0])
    parser.add_argument("--kills", type=int, default=10, help="how many times (default: 10)")
    parser.add_argument("--examples", type=int, default=16_000, help="of MNIST to train on (default: 16000)")
    parser.add_argument("--epochs", type=int, default=2, help="(default: 2)")
    parser.add_argument("--device", help="as graphdl's --device")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (default: 0)")
    parser.add_argument("--train", type=Path, metavar="RUN", help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.train is not None:
        train(chosen.train, chosen.epochs, chosen.device)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        return compare(Path(folder), chosen)


class Ready(Observer):
    """Tells the process that waits for it of the first step."""

    def __init__(self) -> None:
        self._is_told = False

    def advance(self, status: Status) -> None:
        if not self._is_told:
            print("stepping", flush=True)
            self._is_told = True


def train(run: Path, epochs: int, device: str | None) -> None:
    """Begins or continues a run in this process."""
    request = fit.TrainingOptions(epochs=epochs, data=f'npz("{DATA}")', data_root=run.parent, save_seconds=SAVE_SECONDS)
    if (run / SETTINGS).exists():
        resume(run, request, device=device, observer=Ready())
    else:
        fit.fit(graphdl.load(LENET, device=device), request, out=run, observer=Ready())


def compare(folder: Path, chosen: argparse.Namespace) -> int:
    """Trains once undisturbed and once killed; the exit code."""
    write_data(folder / DATA, chosen.examples)
    whole = folder / "whole"
    if ended(whole, chosen):
        return 1
    records = open_run(whole).records
    seconds = records[-1]["seconds"]
    print(f"undisturbed: {seconds:.1f} s of training, {len(records)} lines of metrics")
    began = time.monotonic()
    if ended(whole, chosen):  # nothing is left to train: this is what a start takes
        return 1
    starting = time.monotonic() - began
    chance = random.Random(chosen.seed)
    number = kills = 0
    while True:
        killed = folder / f"killed_{number}"
        with start(killed, chosen) as process:
            after = None
            if kills < chosen.kills and kills % 3 == 0:
                after, where = chance.uniform(0, starting), "of its start"
            elif kills < chosen.kills:
                assert process.stdout is not None
                process.stdout.readline()  # until its first step, or its end
                after, where = chance.uniform(0, 2 * seconds / chosen.kills), "of its steps"
            try:
                if process.wait(timeout=after):
                    return 1
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                kills += 1
                print(f"kill {kills:>2} in second {after:4.1f} {where}: {state(killed)}", flush=True)
                continue
        print("it came to its end", flush=True)
        if not is_equal(killed, whole):
            return 1
        if kills == chosen.kills:
            return 0
        number += 1


def start(run: Path, chosen: argparse.Namespace) -> subprocess.Popen[bytes]:
    words = [sys.executable, __file__, "--train", str(run), "--epochs", str(chosen.epochs)]
    return subprocess.Popen([*words, *(["--device", chosen.device] if chosen.device else [])], stdout=subprocess.PIPE)


def ended(run: Path, chosen: argparse.Namespace) -> int:
    """Waits for a training; its exit code."""
    with start(run, chosen) as process:
        return process.wait()


def write_data(path: Path, examples: int) -> None:
    """The first examples of MNIST, so that all runs read the same part of it."""
    dataset = sets.load(setting_of("mnist"), splits=("train", "test"))
    arrays = {}
    for split, count in (("train", examples), ("test", HELD_OUT)):
        for name, field in dataset.splits[split].fields.items():
            arrays[f"{split}_{name}"] = field.take(np.arange(count))
    np.savez(path, **arrays)


def state(run: Path) -> str:
    """How far a killed run has come, in words."""
    if not (run / SETTINGS).exists():
        return "before the run began"
    if not (run / "last.safetensors").exists():
        return "before the first checkpoint"
    position = checkpoint.load(run / "last.safetensors").metadata["position"]
    lines = (run / METRICS).read_text().count("\n") if (run / METRICS).exists() else 0
    half = len(list(run.glob(f".*{checkpoint.PART}")))
    return f"saved at step {position['step']}, epoch {position['epoch'] + 1}; {lines} lines, {half} files half written"


def is_equal(run: Path, whole: Path) -> bool:
    """Whether two runs came to the same; says where they differ."""
    differing = []
    for name in ("last.safetensors", "best.safetensors"):
        found, expected = (checkpoint.load(folder / name).tensors for folder in (run, whole))
        if found.keys() != expected.keys():
            differing.append(f"{name}: other variables")
        differing += [f"{name}: {key}" for key in found if not np.array_equal(found[key], expected[key])]
    lines, expected_lines = without_clock(run), without_clock(whole)
    differing += [f"{METRICS}: line {k}" for k, pair in enumerate(zip(lines, expected_lines, strict=False), 1)
                  if pair[0] != pair[1]]  # fmt: skip
    if len(lines) != len(expected_lines):
        differing.append(f"{METRICS}: {len(lines)} lines and {len(expected_lines)}")
    for each in differing:
        print(f"differs: {each}")
    if not differing:
        print(f"equal: all weights, all of the optimizer's variables, {len(lines)} lines of metrics")
    return not differing


def without_clock(run: Path) -> list[dict[str, Any]]:
    return [{key: value for key, value in record.items() if key not in TIMINGS} for record in open_run(run).records]


if __name__ == "__main__":
    sys.exit(main())
