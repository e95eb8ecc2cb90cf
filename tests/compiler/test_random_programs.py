"""Random programs against PyTorch in double precision, in the form of a CPU and in that of a GPU."""

from __future__ import annotations

import os
import shutil
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_programs import chain, differences, on_device, on_host

from graphdl.compiler.program import Target
from graphdl.runtime.opencl import Device

FORMS = {
    "cpu": Target("cpu", vector_width=8, compute_units=2),
    "gpu": Target("gpu", vector_width=4, compute_units=8),
}
BATCH = 250
"""Programs that are built together: a compiler's start costs as much as several."""


def checked(form: str, numbers: range) -> dict[int, str]:
    """What differs, by the number of the program."""
    chains = [chain(number) for number in numbers]
    return differences(chains, on_host(chains, FORMS[form]))


def told(differing: dict[int, str]) -> str:
    return "\n".join(f"{chain(number)}\n  {text}" for number, text in differing.items())


@pytest.fixture(scope="module")
def compiler() -> None:
    """What builds kernels for the host; tests that need it are skipped without it."""
    if shutil.which("g++") is None:
        pytest.skip("needs g++")


@pytest.mark.usefixtures("compiler")
@pytest.mark.parametrize("form", FORMS)
@given(start=st.integers(0, 10**9))
@settings(max_examples=2, deadline=None, database=None)
def test_random_programs(form: str, start: int) -> None:
    differing = checked(form, range(start, start + 75))
    assert not differing, told(differing)


@pytest.mark.usefixtures("compiler")
def test_a_sort_by_several_work_items_on_the_host() -> None:
    """Each work-item has pointers to local memory of its own: the gradient of a gather sorts its indices."""
    differing = checked("gpu", range(14_901, 14_902))
    assert not differing, told(differing)


@pytest.mark.usefixtures("compiler")
@pytest.mark.parametrize("form", FORMS)
def test_kernels_that_wait_for_no_other_before_one_is_merged(form: str) -> None:
    """A merged kernel waits for all that its parts need: what reads its early results waits for that, too."""
    differing = checked(form, range(49_838, 49_839))
    assert not differing, told(differing)


@pytest.mark.parametrize(("form", "count"), [("cpu", 10), ("gpu", 3)])
def test_random_programs_on_the_device(form: str, count: int, device: Device) -> None:
    """Some programs as one: they share launches and the arena."""
    start = 10**6
    chains = [chain(number) for number in range(start, start + count)]
    differing = differences(chains, on_device(chains, device, FORMS[form]))
    assert not differing, told(differing)


def test_a_wrong_element_is_noticed() -> None:
    """The comparison itself: one element of a result taken for its neighbour's is a difference."""
    made = [c for c in map(chain, range(40)) if any(v.size > 1 and np.ptp(v) > 0.5 for v in c.wanted.values())]
    for c in made:
        name, value = next((n, v) for n, v in c.wanted.items() if v.size > 1 and np.ptp(v) > 0.5)
        spoilt = value.reshape(-1).copy()
        spoilt[[spoilt.argmin(), spoilt.argmax()]] = spoilt[[spoilt.argmax(), spoilt.argmin()]]
        got = c.wanted | {name: spoilt.reshape(value.shape)}
        assert not differences([c], c.wanted)
        assert differences([c], got)


@pytest.mark.slow
@pytest.mark.usefixtures("compiler")
@pytest.mark.parametrize("form", FORMS)
def test_fifty_thousand_random_programs(form: str) -> None:
    batches = [range(start, start + BATCH) for start in range(0, 50_000, BATCH)]
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        found = list(pool.map(checked, [form] * len(batches), batches))
    differing = {number: text for batch in found for number, text in batch.items()}
    assert not differing, told(differing)
