"""Prefetching: order, faults, and an early end."""

import itertools
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest

from graphdl.data.batches import Batches
from graphdl.data.prefetch import Prefetch
from graphdl.data.sets import load


def test_order_is_that_of_the_keys_whatever_takes_longest():
    def produce(key):
        time.sleep(0.01 * (key % 3 == 0))
        return key * key

    with Prefetch(produce, range(20), workers=4, depth=8) as items:
        assert list(items) == [key * key for key in range(20)]
        assert list(items) == []


def test_it_works_ahead_but_not_further_than_the_depth():
    made = []
    done = threading.Semaphore(0)

    def produce(key):
        time.sleep(0.001)
        made.append(key)
        done.release()
        return key

    with Prefetch(produce, itertools.count(), depth=3) as items:
        for _ in range(3):
            assert done.acquire(timeout=5)
        assert made == [0, 1, 2]
        assert next(items) == 0
        assert done.acquire(timeout=5)
        assert made == [0, 1, 2, 3]


def test_it_runs_beside_its_taker():
    names = set()

    def produce(key):
        time.sleep(0.001)
        names.add(threading.current_thread().name)

    with Prefetch(produce, range(9)) as items:
        list(items)
    assert all(name.startswith("graphdl-prefetch") for name in names)


def test_quick_items_are_computed_by_their_taker_and_slow_ones_ahead_again(monkeypatch):
    names = []
    clock = [0.0]
    monkeypatch.setattr("graphdl.data.prefetch.time", SimpleNamespace(perf_counter=lambda: clock[0]))

    def produce(key):
        clock[0] += 0.001 * (10 <= key < 15)
        names.append(threading.current_thread().name.startswith("graphdl-prefetch"))
        return key

    with Prefetch(produce, range(20), depth=1) as items:
        assert list(items) == list(range(20))
    # With a depth of 1, an item is begun when the one before it is taken.
    assert names == [True] + [False] * 10 + [True] * 5 + [False] * 4


def test_a_fault_comes_in_its_place_and_ends_the_iteration():
    def produce(key):
        if key == 2:
            raise OSError("disk")
        return key

    items = Prefetch(produce, range(10), workers=2, depth=4)
    assert [next(items), next(items)] == [0, 1]
    with pytest.raises(OSError, match="disk"):
        next(items)
    assert list(items) == []


def test_a_fault_of_the_keys_is_raised_too():
    def keys():
        yield 0
        raise ValueError("keys")

    with pytest.raises(ValueError, match="keys"):
        list(Prefetch(lambda key: key, keys(), depth=1))


def test_closing_early_waits_for_nothing():
    started, release = threading.Event(), threading.Event()
    begun = []

    def produce(key):
        begun.append(key)
        started.set()
        assert release.wait(10)

    items = Prefetch(produce, itertools.count(), depth=4)
    assert started.wait(5)
    before = time.monotonic()
    items.close()
    items.close()
    assert time.monotonic() - before < 1
    assert list(items) == []
    release.set()
    time.sleep(0.05)
    assert begun == [0]


def test_leaving_the_block_by_a_fault_closes():
    class StopTestError(Exception):
        pass

    items = Prefetch(lambda key: key, itertools.count())

    def leave():
        with items:
            raise StopTestError

    with pytest.raises(StopTestError):
        leave()
    assert list(items) == []


def test_threads_end():
    before = threading.active_count()
    with Prefetch(lambda key: key, range(100), workers=3) as items:
        next(items)
    deadline = time.monotonic() + 5
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.005)
    assert threading.active_count() <= before


@pytest.mark.parametrize("arguments", [{"workers": 0}, {"depth": 0}])
def test_nonsense_is_refused(arguments):
    with pytest.raises(ValueError, match="must be positive"):
        Prefetch(lambda key: key, [], **arguments)


def test_batches_made_ahead_by_several_threads_are_the_same():
    dataset = load("digits")
    batches = Batches(dataset, "train", dataset.types, batch=64, training=True)
    keys = [(epoch, index) for epoch in range(3) for index in range(len(batches))]
    with Prefetch(lambda key: batches.get(*key), keys, workers=3, depth=6) as ahead:
        for (epoch, index), batch in zip(keys, ahead, strict=True):
            assert (batch.epoch, batch.index) == (epoch, index)
            again = batches.get(epoch, index).arrays
            assert all(np.array_equal(values, again[name]) for name, values in batch.arrays.items())
