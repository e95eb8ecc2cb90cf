"""Random nets over ints, bools and floats give NumPy's values and element types, exactly."""

from __future__ import annotations

import numpy as np
import pytest
from random_types import Chain

import graphdl


def compare(numbers: range) -> None:
    """One net of the chains with these numbers."""
    chains = [Chain(number) for number in numbers]
    wanted = {chain.number: chain.wanted for chain in chains}
    lines = [line for chain in chains for line in chain.lines]
    lines += [f"output {name}" for outputs in wanted.values() for name in outputs]
    feeds = {name: array for chain in chains for name, array in chain.feeds.items()}
    found = graphdl.loads("net typed() {\n    " + "\n    ".join(lines) + "\n}\n").run(feeds)
    for chain in chains:
        for name, array in wanted[chain.number].items():
            told = f"{name} of\n" + "\n".join(chain.lines)
            np.testing.assert_array_equal(found[name], array, err_msg=told)
            assert found[name].dtype == array.dtype, told


@pytest.mark.usefixtures("device")
def test_types_and_values_are_numpys() -> None:
    compare(range(12))


@pytest.mark.slow
@pytest.mark.usefixtures("device")
@pytest.mark.parametrize("start", range(1000, 3000, 200))
def test_two_thousand_further_nets(start: int) -> None:
    for first in range(start, start + 200, 20):
        compare(range(first, first + 20))
