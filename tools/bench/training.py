"""Times training steps beside PyTorch's, in turn in one process: ``python tools/bench/training.py mlp lenet``.

Each model takes a few steps with graphdl, then as many with PyTorch (eager, its default layout, two threads), over and
over; the ratio is taken pair by pair and its median is what counts, since machines drift. A step is forward, reverse
and the update by SGD with momentum, from a batch in host memory. PyTorch comes with ``pip install ".[test]"``.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

import graphdl

sys.path.insert(0, str(Path(__file__).parent))
from peers import resnet20

MODELS = Path(__file__).resolve().parents[2] / "models"


@dataclass(frozen=True)
class Race:
    """A model file with its settings, the same net in PyTorch, the batch and the example's shape."""

    file: str
    settings: dict[str, Any]
    peer: Callable[[], nn.Module]
    batch: int
    shape: tuple[int, ...]
    steps: int
    classes: int = 10


def mlp() -> nn.Module:
    return nn.Sequential(
        nn.Flatten(), nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10)
    )


def lenet() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 20, 5), nn.MaxPool2d(2), nn.Conv2d(20, 50, 5), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(800, 500), nn.ReLU(), nn.Linear(500, 10),
    )  # fmt: skip


RACES = {
    "mlp": Race("vision/mlp.net", {"size": 28, "widths": [512, 512]}, mlp, 64, (1, 28, 28), 50),
    "lenet": Race("vision/lenet.net", {}, lenet, 64, (1, 28, 28), 20),
    "resnet20": Race("vision/resnet20.net", {}, resnet20, 128, (3, 32, 32), 2),
}


def ours(race: Race, device: str | None) -> tuple[Callable[[int], None], Any]:
    model = graphdl.load(MODELS / race.file, device=device, **race.settings)
    trainer = model.trainer(batch=race.batch)
    generator = np.random.default_rng(0)
    image = generator.normal(size=(race.batch, *race.shape)).astype(np.float32)
    label = generator.integers(0, race.classes, race.batch).astype(np.int32)

    def run(steps: int) -> None:
        for _ in range(steps):
            report = trainer.step(image=image, label=label)
        float(report)

    return run, trainer.program


def theirs(race: Race) -> Callable[[int], None]:
    net = race.peer().train()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9)
    image, label = torch.randn(race.batch, *race.shape), torch.randint(race.classes, (race.batch,))

    def run(steps: int) -> None:
        for _ in range(steps):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(net(image), label)
            loss.backward()
            optimizer.step()
        loss.item()

    return run


def timed(run: Callable[[int], None], steps: int) -> float:
    begin = time.perf_counter()
    run(steps)
    return (time.perf_counter() - begin) / steps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", default=["mlp", "lenet"], choices=[*RACES, []])
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--device", help="as graphdl train's")
    arguments = parser.parse_args()
    torch.set_num_threads(2)
    print(f"{'model':10} {'batch':>5} {'graphdl ms':>11} {'PyTorch ms':>11} {'ratio':>6} {'lowest':>7} {'launches':>8} "
          f"{'peak MiB':>9} {'plan/alive':>10} {'GFLOP/s':>8}")  # fmt: skip
    for name in arguments.models:
        race = RACES[name]
        run, program = ours(race, arguments.device)
        peer = theirs(race)
        for each in (run, peer):
            each(3)
        pairs = [(timed(run, race.steps), timed(peer, race.steps)) for _ in range(arguments.rounds)]
        ratios = [b / a for a, b in pairs]
        a, b = (statistics.median(column) for column in zip(*pairs, strict=True))
        print(
            f"{name:10} {race.batch:5d} {a * 1e3:11.2f} {b * 1e3:11.2f} {statistics.median(ratios):6.2f} "
            f"{min(ratios):7.2f} {len(program.launches):8d} {program.peak_bytes / 2**20:9.1f} "
            f"{program.arena_bytes / max(1, program.live_bytes):10.3f} {program.flops / a / 1e9:8.1f}"
        )


if __name__ == "__main__":
    main()
