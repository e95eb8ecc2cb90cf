"""Optimizers: update rules from gradients to parameters. The update is built of operators, in the program of the step.

Every module of this package except ``optimizer`` contains optimizers. Its ``MAKERS`` are the functions that the
language can call. The name of a function is written after the word ``optimizer``, its parameters after the first are
the arguments, and its docstring is the documentation. The formulas are PyTorch's, in its order of operations, so that
both can be compared step by step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING

from graphdl.settings import bind
from graphdl.suggest import did_you_mean
from graphdl.training.calls import TrainingCall
from graphdl.training.optimizers.optimizer import Optimizer

if TYPE_CHECKING:
    from graphdl.graph.train import Setting

Maker = Callable[..., Optimizer]


def _makers() -> Iterator[Maker]:
    for module in iter_modules(__path__):
        yield from getattr(import_module(f"{__name__}.{module.name}"), "MAKERS", ())


OPTIMIZERS: Mapping[str, Maker] = {make.__name__: make for make in _makers()}
"""Maps a name after ``optimizer`` to the function that makes it. Its parameters after the first are the arguments."""


def optimizer(setting: Setting) -> Optimizer:
    """The optimizer that a train section names.

    Raises:
        ModelError: E0611 to E0613, it is unknown or its arguments are wrong.
    """
    call = TrainingCall(setting)
    if setting.name not in OPTIMIZERS:
        raise call.error(
            "E0611",
            f"unknown optimizer '{setting.name}'",
            notes=[f"known: {', '.join(OPTIMIZERS)}"],
            help=did_you_mean(setting.name, list(OPTIMIZERS)),
        )
    make = OPTIMIZERS[setting.name]
    return make(call, **bind(call, make))


__all__ = ["OPTIMIZERS", "Optimizer", "optimizer"]
