"""Loss scaling, so that gradients of 16 bits neither vanish nor overflow (Micikevicius et al., 2018).

The loss is multiplied by a scale, and the gradients of the parameters are divided by it before anything else is done
with them. If one of them is not finite, the step is skipped: parameters, states and the optimizer's variables stay as
they are, and the scale is halved. After ``GROWTH`` steps in a row that were not skipped, it is doubled. The scale, the
number of these steps and that of all skipped ones are variables on the device, so that no step waits for the host. They
are stored with the optimizer's variables.

An optimizer's numbers depend on how many updates there were. The host feeds them for every number of skipped steps of
which it may not know yet, and the device picks a row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from graphdl.operators.elementwise import apply, cast
from graphdl.operators.reduction import reduce
from graphdl.operators.structure import positions, reshape, slice_
from graphdl.operators.tensor import Tensor, feed, read
from graphdl.training.optimizers.optimizer import Kept
from graphdl.training.reports import MOST_PENDING
from graphdl.training.stages import Stage

START = 2.0**15
GREATEST = 2.0**24
LEAST = 2.0**-14
"""The scale at first, and its bounds."""
GROWTH = 2000
"""The steps in a row without overflow after which the scale is doubled."""
WINDOW = MOST_PENDING + 1
"""The numbers of skipped steps that the host may not know of."""
KNOWN = "training.skipped"
"""The feed of the number of skipped steps that the host knows of."""

_LARGEST = 3.4028234663852886e38


@dataclass(frozen=True)
class Scaling:
    """The variables of the loss scaling of one stage."""

    stage: str

    @staticmethod
    def of(stage: Stage) -> Scaling | None:
        """The scaling of a stage; None if its precision needs none: a bfloat has a float's range."""
        return Scaling(stage.name) if stage.precision == "half" else None

    @property
    def kept(self) -> Mapping[str, Kept]:
        """The variables that it keeps between steps."""
        return {self.name("scale"): Kept((), START), self.name("good"): Kept(()), self.name("skipped"): Kept(())}

    def name(self, word: str) -> str:
        """The name of one of the variables: ``scale``, ``good`` or ``skipped``."""
        return f"{self.stage}::{word}"

    def read(self, word: str) -> Tensor:
        """The value of a variable before the step."""
        return read(self.name(word), ())

    def following(self, finite: Tensor) -> Mapping[str, Tensor]:
        """The next values of the variables. ``finite``, a bool of shape [], says that the step is not skipped."""
        scale, good = self.read("scale"), self.read("good") + 1.0
        grows = apply("greater_equal", good, float(GROWTH))
        grown = apply("where", grows, apply("minimum", scale * 2.0, GREATEST), scale)
        return {
            self.name("scale"): apply("where", finite, grown, apply("maximum", scale * 0.5, LEAST)),
            self.name("good"): apply("where", finite, apply("where", grows, 0.0, good), 0.0),
            self.name("skipped"): self.read("skipped") + (1.0 - cast(finite, "float")),
        }

    def report(self, finite: Tensor, following: Mapping[str, Tensor]) -> list[Tensor]:
        """What a report says of the scaling: see ``Report``."""
        words = [following.get(self.name(word), self.read(word)) for word in ("scale", "skipped")]
        return [*words, cast(finite, "float")]

    def scalars(self, count: int, table: Tensor) -> list[Tensor]:
        """The row of ``table``, ``[WINDOW, count]``, for the number of skipped steps."""
        unknown = apply("minimum", self.read("skipped") - feed(KNOWN, ()), float(WINDOW - 1))
        chosen = apply("equal", cast(positions((WINDOW, 1), (0,)), "float"), unknown)
        row = reduce("sum", apply("where", chosen, table, 0.0), (0,))
        return [reshape(slice_(row, (0, k), (1, 1), (1, 1)), ()) for k in range(count)]


def all_finite(gradients: Sequence[Tensor]) -> Tensor:
    """Whether no element of the gradients is NaN, infinite, or so large that their squares add up to infinity."""
    squares = [reduce("sum", g * g, range(g.rank), keep=False) for g in gradients]
    total = squares[0]
    for square in squares[1:]:
        total = total + square
    return apply("less_equal", total, _LARGEST)


def gated(finite: Tensor, following: Mapping[str, Tensor], before: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The next values of variables if the step is not skipped, else their values ``before`` it."""
    return {name: apply("where", finite, x, before[name]) for name, x in following.items()}
