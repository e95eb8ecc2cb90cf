"""Kernels compiled by further processes, on a driver that compiles one at a time."""

import time
from dataclasses import replace

import numpy as np
import pyopencl as cl
import pytest

from graphdl.cache import BinaryCache
from graphdl.compiler.build import build
from graphdl.operators.elementwise import cast
from graphdl.operators.gather import take
from graphdl.operators.matmul import matmul
from graphdl.operators.reduction import reduce
from graphdl.operators.structure import reshape
from graphdl.operators.tensor import feed
from graphdl.runtime import Executor, VariableStore, ahead, open_info, trials
from graphdl.runtime.build import divided, unwatched
from graphdl.runtime.claims import Claims
from graphdl.runtime.drivers.pocl import open_cache
from graphdl.runtime.packing import unique_name
from graphdl.runtime.trials import compile_packs


@pytest.fixture
def one_at_a_time(device):
    if not device.info.compiles_at_launch:
        pytest.skip("needs a driver that compiles one kernel at a time")
    return open_info(device.info)


@pytest.fixture
def program(one_at_a_time):
    """The rows of a table that the results of another kernel choose, times a matrix."""
    k, x, w = feed("k", (900, 60)), feed("x", (300, 70)), feed("w", (1, 70, 80))
    chosen = take(x, cast(reduce("sum", k, (1,), keep=False), "int"), known=True)
    product = matmul(reshape(chosen, (1, 900, 70)), w)
    return build({"product": product}, {}, one_at_a_time.target)


@pytest.fixture
def unknown(monkeypatch, tmp_path):
    """No kernels are known as compiled, and few are enough for a process."""
    monkeypatch.setattr(ahead, "_LEAST", 1)
    monkeypatch.setattr(ahead, "_kept", lambda: BinaryCache(tmp_path / "compiled"))
    return tmp_path / "compiled"


@pytest.fixture
def one_core(one_at_a_time, unknown):
    """The device with as many cores as this process needs."""
    return replace(one_at_a_time, info=replace(one_at_a_time.info, compute_units=1))


@pytest.fixture
def task(program, one_at_a_time, tmp_path):
    """The task of each process, with a file for its claims."""
    (tmp_path / "claims").touch()
    groups = divided(one_at_a_time, program.kernels.values())
    return ahead._task(program, program.kernels, groups, one_at_a_time, str(tmp_path / "claims"))


def test_a_kernel_finds_zeros_whatever_another_one_has_written(one_at_a_time):
    """Else it would read an index that is none."""
    memory, queue = trials._Zeros(one_at_a_time), one_at_a_time.queue
    buffer, found = memory.buffer(("arena", ""), 10_000), np.ones(10_000, np.uint8)
    cl.enqueue_fill_buffer(queue, buffer, np.full(1, 0x7F, np.uint8), 0, 10_000)
    queue.finish()
    memory.clear()
    cl.enqueue_copy(queue, found, buffer)
    assert not found.any()


def libraries(program):
    """The compiled files of a program's kernels, each with its number in the file system and its time."""
    names = {unique_name(kernel) for kernel in program.kernels.values()}
    found = [path for path in open_cache().rglob("*.so") if path.stem in names]
    return {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in found}


def run(program, device):
    """Runs the program and compares its result."""
    executor = Executor(program, device, VariableStore(device))
    draw = np.random.default_rng(0)
    x, w = draw.normal(size=(300, 70)), draw.normal(size=(1, 70, 80))
    k = draw.integers(0, 5, (900, 60))
    executor.run({"x": x.astype(np.float32), "w": w.astype(np.float32), "k": k.astype(np.float32)})
    assert np.allclose(executor.fetch("product"), x[k.sum(1)] @ w, atol=1e-4)


def test_a_task_has_every_kernel_and_buffer(task, program):
    trials = [trial for pack in task.packs for trial in pack]
    assert set(task.kernels) == {trial.kernel for trial in trials} == set(program.kernels)
    assert len(trials) == len(program.kernels)
    assert task.buffers["feed", "x"] == 300 * 70 * 4
    assert all((b.place, b.name) in task.buffers for trial in trials for b in trial.bindings)


def test_a_run_compiles_nothing_again(program, one_core):
    reports = []
    ahead.compile_ahead(program, one_core, lambda done, total: reports.append((done, total)))
    before = libraries(program)
    assert {path.stem for path in before} == {unique_name(kernel) for kernel in program.kernels.values()}
    assert [reports[0], reports[-1]] == [(0, len(program.kernels)), (len(program.kernels),) * 2]
    assert reports == sorted(reports)
    run(program, one_core)
    assert libraries(program) == before


def test_what_is_compiled_is_known(program, one_core):
    ahead.compile_ahead(program, one_core, unwatched)
    one_core.built.clear()
    ahead.compile_ahead(program, one_core, lambda *_: pytest.fail("these kernels are compiled"))


def test_a_process_ends_with_its_parent(task, one_at_a_time):
    claims = Claims(task.claims)
    compile_packs(task, one_at_a_time, claims, lambda: False)
    assert claims.finished(0, 100) == 0


def test_two_processes_share_the_kernels(program, one_at_a_time, unknown, monkeypatch):
    """This process waits until the other one has compiled a kernel. Then it compiles only the rest."""
    launched = []
    launch = trials._Work._launch
    monkeypatch.setattr(trials._Work, "_launch", lambda *given: (launched.append(given[-1]), launch(*given)))

    def wait_for_the_other(task, device, claims, goes_on):
        end = time.monotonic() + 60
        while claims.finished(len(task.packs), 100) == 0 and time.monotonic() < end:
            time.sleep(0.01)
        compile_packs(task, device, claims, goes_on)

    monkeypatch.setattr(ahead, "compile_packs", wait_for_the_other)
    two_cores = replace(one_at_a_time, info=replace(one_at_a_time.info, compute_units=2))
    reports = []
    ahead.compile_ahead(program, two_cores, lambda done, total: reports.append(done))
    assert reports[-1] == len(program.kernels) > len(launched)
    run(program, two_cores)


def test_a_process_that_dies_leaves_its_kernel_to_the_run(program, one_core, unknown, monkeypatch):
    def dies(task, device, claims, goes_on):
        claims.take(len(task.packs))  # the first kernel of the first pack
        compile_packs(task, device, claims, goes_on)

    monkeypatch.setattr(ahead, "compile_packs", dies)
    ahead.compile_ahead(program, one_core, unwatched)
    assert not unknown.exists()
    run(program, one_core)


def test_other_drivers_compile_in_one_process(program, one_at_a_time, unknown):
    other = replace(one_at_a_time, info=replace(one_at_a_time.info, compiles_at_launch=False))
    ahead.compile_ahead(program, other, lambda *_: pytest.fail("something is compiled"))
