"""Learning-rate schedules: pure functions from a step to the learning rate.

A schedule counts in epochs (a step within an epoch is a fraction) or, with ``unit = "step"``, in steps. ``warmup``
first raises the rate linearly from 0. The schedule then covers the rest of the training.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import cos, floor, inf, pi
from typing import TYPE_CHECKING

from graphdl.settings import bind
from graphdl.suggest import did_you_mean
from graphdl.training.calls import TrainingCall

if TYPE_CHECKING:
    from graphdl.graph.train import Setting

Rate = Callable[[float, float], float]
"""Maps the position and the length of the training, both in the schedule's unit, to the learning rate."""


@dataclass(frozen=True)
class Schedule:
    """A learning rate over time."""

    curve: Rate
    in_steps: bool
    warmup: float

    @property
    def start(self) -> float:
        """The learning rate right after the warm-up, for a training of unknown length."""
        return self.curve(self.warmup, inf)

    def rate(self, step: int, steps_per_epoch: int, total_steps: float) -> float:
        """The learning rate of a step (from 0) in a training of ``total_steps``."""
        unit = 1 if self.in_steps else steps_per_epoch
        total = total_steps / unit
        warmup = self.warmup * unit
        if step < warmup:
            return self.curve(self.warmup, total) * (step + 1) / warmup
        return self.curve(step / unit, total)


@dataclass(frozen=True)
class _ScheduleCall(TrainingCall):
    """The setting of a schedule, with the optimizer's learning rate."""

    lr: float

    def make(self, curve: Rate, unit: str, warmup: float) -> Schedule:
        if unit not in ("epoch", "step"):
            raise self.error(
                "E0613",
                f'\'unit\' of \'{self.setting.name}\' must be "epoch" or "step", found "{unit}"',
                argument="unit",
                help=did_you_mean(unit, ["epoch", "step"]),
            )
        self.in_range("warmup", warmup, low=0, high=None)
        return Schedule(curve, unit == "step", warmup)


def constant(call: _ScheduleCall, warmup: float = 0.0, unit: str = "epoch") -> Schedule:
    """``constant(warmup = 5)``: the optimizer's rate throughout."""
    return call.make(lambda position, total: call.lr, unit, warmup)


def step(call: _ScheduleCall, every: float, factor: float = 0.1, warmup: float = 0.0, unit: str = "epoch") -> Schedule:
    """``step(every = 5, factor = 0.1)``: multiplied by ``factor`` after each ``every`` epochs."""
    call.in_range("every", every, low=0, high=None, open_low=True)
    call.in_range("factor", factor, low=0, high=None, open_low=True)
    return call.make(lambda position, total: call.lr * factor ** floor(position / every), unit, warmup)


def cosine(call: _ScheduleCall, to: float = 0.0, warmup: float = 0.0, unit: str = "epoch") -> Schedule:
    """``cosine(warmup = 5)``: half a cosine from the optimizer's rate down to ``to`` times that rate (Loshchilov and
    Hutter, 2017).
    """
    call.in_range("to", to, low=0, high=None)
    return call.make(
        lambda p, total: call.lr * (to + (1 - to) * (1 + cos(pi * _share(p, warmup, total))) / 2), unit, warmup
    )


def linear(call: _ScheduleCall, to: float = 0.0, warmup: float = 0.0, unit: str = "epoch") -> Schedule:
    """``linear(to = 0.01)``: linear from the optimizer's rate to ``to`` times that rate."""
    call.in_range("to", to, low=0, high=None)
    return call.make(lambda p, total: call.lr * (1 + (to - 1) * _share(p, warmup, total)), unit, warmup)


def one_cycle(
    call: _ScheduleCall, rise: float = 0.3, start: float = 0.04, to: float = 4e-6, unit: str = "epoch"
) -> Schedule:
    """``one_cycle(rise = 0.3)``: from ``start`` times the optimizer's rate up to that rate in the first fraction
    ``rise`` of the training, then down to ``to`` times that rate, both along half a cosine (Smith and Topin, 2018).
    """
    call.in_range("rise", rise, low=0, high=1, open_low=True)
    call.in_range("start", start, low=0, high=None)
    call.in_range("to", to, low=0, high=None)

    def curve(position: float, total: float) -> float:
        share = _share(position, 0.0, total)
        if share < rise:
            return call.lr * (start + (1 - start) * (1 - cos(pi * share / rise)) / 2)
        return call.lr * (to + (1 - to) * (1 + cos(pi * (share - rise) / (1 - rise))) / 2)

    return call.make(curve, unit, 0.0)


def piecewise(call: _ScheduleCall, pieces: list[list[float]], warmup: float = 0.0, unit: str = "epoch") -> Schedule:
    """``piecewise([[0, 5, 0.1], [5, 8, 0.01]])``: from epoch 0 to 5 the rate 0.1, from 5 to 8 the rate 0.01.

    The pieces follow one another without gaps, and the last rate continues. The optimizer's own rate is not used.
    """
    end = 0.0
    for piece in pieces:
        if len(piece) != 3 or piece[1] <= piece[0]:
            raise call.error(
                "E0613", f"a piece of 'piecewise' is [from, to, rate], found {list(piece)}", argument="pieces"
            )
        if piece[0] != end:
            what = "is a gap" if piece[0] > end else "is an overlap"
            low, high = sorted((piece[0], end))
            raise call.error(
                "E0614", f"there {what} in the schedule between {unit} {low:g} and {high:g}", argument="pieces"
            )
        call.in_range("pieces", piece[2], low=0, high=None)
        end = piece[1]
    if not pieces:
        raise call.error("E0614", "the schedule has no pieces", argument="pieces")
    return call.make(
        lambda position, total: next((rate for _, stop, rate in pieces if position < stop), pieces[-1][2]), unit, warmup
    )


def _share(position: float, warmup: float, total: float) -> float:
    """The fraction of the training after the warm-up that is over, from 0 to 1."""
    return min(1.0, (position - warmup) / (total - warmup)) if total > warmup else 1.0


SCHEDULES: Mapping[str, Callable[..., Schedule]] = {
    make.__name__: make for make in (constant, step, cosine, linear, one_cycle, piecewise)
}
"""Maps a name after ``schedule`` to the function that makes it. Its parameters after the first are the arguments."""


def schedule(setting: Setting | None, lr: float) -> Schedule:
    """The schedule that a train section names for an optimizer's learning rate; a constant one without a setting.

    Raises:
        ModelError: E0611 to E0613, it is unknown or its arguments are wrong; E0614, it has gaps.
    """
    if setting is None:
        return Schedule(lambda position, total: lr, True, 0.0)
    call = _ScheduleCall(setting, lr)
    if setting.name not in SCHEDULES:
        raise call.error(
            "E0611",
            f"unknown schedule '{setting.name}'",
            notes=[f"known: {', '.join(SCHEDULES)}"],
            help=did_you_mean(setting.name, list(SCHEDULES)),
        )
    make = SCHEDULES[setting.name]
    return make(call, **bind(call, make))
