"""The rows of ``models/science/``."""

from __future__ import annotations

from recorded.results import Figure
from recorded.row import Row, at_least
from recorded.runner import Runner


def splicing(runner: Runner) -> list[Figure]:
    """Splice junctions of held-out sequences; equal ones are on one side."""
    run = runner.train("science/splicing")
    return [at_least("accuracy on held-out sequences", runner.evaluate(run)["accuracy"], 0.95)]


ROWS = {"splicing": Row("Splice junctions, after Xiong et al. 2015", "science/splicing", "–", splicing)}
