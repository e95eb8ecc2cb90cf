"""Kernels compiled by further processes, on a driver that compiles one at a time."""

import os
from dataclasses import replace

import numpy as np
import pytest

from graphdl.cache import BinaryCache
from graphdl.compiler.build import build
from graphdl.operators.elementwise import cast
from graphdl.operators.gather import take
from graphdl.operators.matmul import matmul
from graphdl.operators.reduction import reduce
from graphdl.operators.structure import reshape
from graphdl.operators.tensor import feed
from graphdl.runtime import Executor, VariableStore, ahead, open_info
from graphdl.runtime.compiling import compile_task


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


def compiled(task, device, monkeypatch, folder):
    """Whether the kernels are known as compiled when the task is done."""
    monkeypatch.setattr(ahead, "_kept", lambda: BinaryCache(folder))
    compile_task(task)
    return ahead.is_compiled(task.kernels, device)


@pytest.fixture
def task(program, one_at_a_time, monkeypatch, tmp_path):
    """The task of a second process."""
    started = []
    monkeypatch.setattr(ahead, "_LEAST", 1)
    monkeypatch.setattr(ahead, "_started", started.append)
    monkeypatch.setattr(ahead, "_kept", lambda: BinaryCache(tmp_path / "none"))
    ahead.compile_ahead(program, replace(one_at_a_time, info=replace(one_at_a_time.info, compute_units=2)))
    (task,) = started
    return replace(task, parent=os.getppid())


def test_a_task_has_every_kernel_and_buffer(task, program):
    assert set(task.kernels) == {trial.kernel for trial in task.trials} == set(program.kernels)
    assert task.share == 0.5
    assert task.buffers["feed", "x"] == 300 * 70 * 4
    assert all((b.place, b.name) in task.buffers for trial in task.trials for b in trial.bindings)


def test_a_task_is_done_once(task, program, one_at_a_time, monkeypatch, tmp_path):
    assert compiled(task, one_at_a_time, monkeypatch, tmp_path)
    monkeypatch.setattr(ahead, "_started", lambda task: pytest.fail("these kernels are compiled"))
    ahead.compile_ahead(program, one_at_a_time)


def test_a_task_ends_with_its_parent(task, one_at_a_time, monkeypatch, tmp_path):
    assert not compiled(replace(task, parent=-1), one_at_a_time, monkeypatch, tmp_path)


def test_a_process_compiles_beside_this_one(program, one_at_a_time, monkeypatch):
    monkeypatch.setattr(ahead, "_LEAST", 1)
    ahead._kept().forget(*ahead._key(program.kernels, one_at_a_time))
    beside = ahead.compile_ahead(program, one_at_a_time)
    assert beside._processes
    executor = Executor(program, one_at_a_time, VariableStore(one_at_a_time))
    draw = np.random.default_rng(0)
    x, w = draw.normal(size=(300, 70)), draw.normal(size=(1, 70, 80))
    k = draw.integers(0, 5, (900, 60))
    executor.run({"x": x.astype(np.float32), "w": w.astype(np.float32), "k": k.astype(np.float32)})
    assert np.allclose(executor.fetch("product"), x[k.sum(1)] @ w, atol=1e-4)
    assert [process.wait(60) for process in beside._processes] == [0] * len(beside._processes)
    assert ahead.is_compiled(program.kernels, one_at_a_time)
    beside.end()


def test_other_drivers_compile_in_one_process(program, one_at_a_time, monkeypatch):
    monkeypatch.setattr(ahead, "_LEAST", 1)
    monkeypatch.setattr(ahead, "_started", lambda task: pytest.fail("a process was started"))
    ahead.compile_ahead(program, replace(one_at_a_time, info=replace(one_at_a_time.info, compiles_at_launch=False)))
