"""Recomputation: the limit is kept, the plan is as predicted, and only kernels of the program run again."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pytest

from graphdl.compiler import build as compiler
from graphdl.compiler import listing
from graphdl.compiler.build import build
from graphdl.compiler.dropping import Blocks
from graphdl.compiler.grouping import GeneratedKernel, grouped
from graphdl.compiler.lowering import lower
from graphdl.compiler.memory import Life, most_alive
from graphdl.compiler.placement import Pieces, place
from graphdl.compiler.program import Launch, Program, Result, Target
from graphdl.compiler.recompute import recompute
from graphdl.diagnostics import DeviceError
from graphdl.language import Source, expand, load_source
from graphdl.operators.tensor import Tensor
from graphdl.resources import resource
from graphdl.runtime.executor import check_limit
from graphdl.training.program import REPORT, step_tensors
from graphdl.training.stages import stages

CPU, GPU = Target("cpu", vector_width=8, compute_units=2), Target("gpu", vector_width=4, compute_units=8)

BRANCHES = """
net branches() {
    input image: [3, 16, 16]
    input label: class(4)
    x = image -> conv(8, 3, pad = 1) -> relu
    for _ in 0..4 {
        x = concat(x -> conv(8, 1) -> batchnorm -> relu, x -> conv(8, 3, pad = 1) -> dropout(0.1) -> relu) -> conv(8, 1)
    }
    logits = x -> flatten -> linear(4)
    loss cross_entropy(logits, label)
}
"""
"""Concatenations that a convolution reads are assembled."""
NETS: dict[str, tuple[str, int, dict[str, object], float]] = {
    "lenet": ("vision/lenet.net", 8, {}, 0.96),
    "resnet20": ("vision/resnet20.net", 8, {}, 0.5),
    "transformer": ("sequence/transformer_lm.net", 4, {"units": 32, "depth": 2, "length": 32}, 0.7),
    "densenet": ("vision/densenet.net", 8, {"size": 64, "growth": 8, "depths": [4]}, 0.6),
    "branches": (BRANCHES, 4, {}, 0.7),
    "lstm": ("sequence/phonemes.net", 8, {"length": 32, "features": 16, "units": 32, "depth": 2}, 0.8),
}
"""The file or the text, the batch, the settings, and a limit that can be kept, as a part of the memory without a limit.

The peak of LeNet is one kernel with its operands, so little can be saved."""
DIVERSE = ("transformer", "branches", "lstm")
"""A loop, assembled concatenations, and random draws."""


def tensors(name: str) -> tuple[Mapping[str, Tensor], Mapping[str, Tensor]]:
    """The fetches and the updates of a training step."""
    file, batch, settings, _ = NETS[name]
    source = Source("<net>", file) if file is BRANCHES else load_source(resource(f"models/{file}"))
    graph = expand(source, training=True, settings=settings)
    step = step_tensors(lower(graph, batch), stages(graph)[0])
    return {REPORT: step.report}, step.updates


def again(program: Program) -> list[str]:
    return [launch.kernel for launch in program.launches if launch.again]


@pytest.mark.parametrize(("name", "target"), [*((name, CPU) for name in NETS), *((name, GPU) for name in DIVERSE)])
def test_the_limit_is_kept(name: str, target: Target) -> None:
    fetches, updates = tensors(name)
    whole = build(fetches, updates, target)
    limit = int(NETS[name][3] * whole.peak_bytes)
    program = build(fetches, updates, target, memory=limit)
    assert program.peak_bytes <= limit < whole.peak_bytes
    assert again(program)
    assert not again(whole)
    assert program.flops > whole.flops
    assert program.variables == whole.variables
    assert program.fetches == whole.fetches


def test_no_kernel_is_new() -> None:
    """Each launch that runs again has the text, the sizes and the arguments of one before it."""
    fetches, updates = tensors("branches")
    whole = build(fetches, updates, GPU)
    program = build(fetches, updates, GPU, memory=int(0.7 * whole.peak_bytes))
    assert program.kernels.keys() == whole.kernels.keys()
    seen: dict[object, Launch] = {}
    for launch in program.launches:
        same = launch.kernel, launch.global_size, launch.numbers, launch.label.removeprefix("again ")
        assert launch.again == launch.label.startswith("again ")
        if launch.again:
            assert [b.place for b in seen[same].bindings] == [b.place for b in launch.bindings]
        seen[same] = launch


def test_a_limit_that_is_kept_anyway_changes_nothing() -> None:
    fetches, updates = tensors("lstm")
    whole = build(fetches, updates, CPU)
    program = build(fetches, updates, CPU, memory=whole.peak_bytes)
    assert program.launches == whole.launches
    assert program.arena_blocks == whole.arena_blocks


@pytest.mark.parametrize("name", ["lenet", "densenet", "lstm"])
def test_the_least_memory_is_a_limit_that_can_be_kept(name: str) -> None:
    fetches, updates = tensors(name)
    least = build(fetches, updates, CPU, memory=0).peak_bytes
    for limit in (least, least + 4096):
        assert build(fetches, updates, CPU, memory=limit).peak_bytes <= limit
    with pytest.raises(DeviceError) as caught:
        check_limit(build(fetches, updates, CPU, memory=least - 1), least - 1)
    assert caught.value.code == "E0803"
    assert "needs at least" in str(caught.value)
    assert "the largest tensors:\n" in str(caught.value)


def test_the_listing_names_what_runs_again() -> None:
    fetches, updates = tensors("branches")
    whole = build(fetches, updates, CPU)
    program = build(fetches, updates, CPU, memory=int(0.7 * whole.peak_bytes))
    assert "again" not in listing.memory(whole)
    assert "again" not in listing.schedule(whole)
    lines = listing.memory(program).partition("run again: ")[2].splitlines()
    assert lines[0].startswith(f"{len(again(program))} launches, ")
    numbers = [int(re.match(r"  launch (\d+)  again ", line)[1]) for line in lines[1:]]  # type: ignore[index]
    assert numbers == [number for number, launch in enumerate(program.launches) if launch.again]


@dataclass
class Found:
    """What the compiler gives to the search."""

    kernels: Sequence[GeneratedKernel]
    results: Mapping[Result, Tensor]
    pieces: Pieces

    @property
    def blocks(self) -> Blocks:
        return Blocks(self.kernels, self.results, self.pieces)


@pytest.fixture(scope="module", params=DIVERSE)
def found(request: pytest.FixtureRequest) -> Found:
    """The program for a GPU: there every kernel has a launch of its own."""
    given: list[Found] = []

    def search(kernels, results, pieces, room, arena):  # type: ignore[no-untyped-def]
        given.append(Found(kernels, results, pieces))
        return recompute(kernels, results, pieces, room, arena)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiler, "recompute", search)
        fetches, updates = tensors(request.param)
        whole = build(fetches, updates, GPU)
        build(fetches, updates, GPU, memory=whole.peak_bytes - 1)
    return given[0]


def test_a_trial_needs_what_it_says(found: Found) -> None:
    """Whatever is dropped, the plan of the memory has the bytes of the trial, and every tensor is made before it is
    read.
    """
    blocks = found.blocks
    random = np.random.default_rng(0)
    candidates = [b for b in blocks.candidates(0) if blocks.trial([b]) is not None]
    trials = 0
    for _ in range(30):
        share = random.random()
        trial = blocks.trial([b for b in candidates if random.random() < share])
        if trial is None:
            continue
        trials += 1
        kernels, pieces = blocks.made(trial)
        assert len(kernels) == len(found.kernels) + len(trial.again) == len(trial.alive)
        assert sum(kernel.again for kernel in kernels) == len(trial.again)
        stored: set[Tensor] = set()
        made = {t for kernel in kernels for t in (*kernel.outputs, *kernel.own)}
        for kernel in kernels:
            stored.update((*kernel.outputs, *kernel.own))
            for t in kernel.operands.tensors:
                parts = [piece for piece, (whole, _) in pieces.items() if whole is t and piece in made]
                assert stored.issuperset([t] if t in made else parts)
        placement = place(found.results, pieces, [], grouped(kernels, GPU))
        lives = [Life(block.nbytes, block.first, block.last) for block in placement.arena_blocks]
        assert most_alive(lives) == trial.peak
    assert trials > 10
