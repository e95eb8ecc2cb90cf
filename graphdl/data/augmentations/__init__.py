"""What ``augment`` may name in a train section: what is done to the fields of a batch between the data set and the net.

Every module of this package but ``step`` declares the augmentation of its name by a function of that name. Its
parameters are the setting and then the user's arguments, its docstring is the documentation. It checks what can be said
without the data and returns what makes the steps, which stand in the same file. NumPy is imported when a step works,
not before: ``graphdl check`` reads settings, too.

Every step works on a whole batch. What is random in it depends on the seed, the epoch, the step's place among the
steps, and the position of the example in the epoch's order; on nothing else. Each step declares what it becomes
outside of training: the same, another without chance (a crop at the centre), or nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from graphdl.data.arguments import Declared, named
from graphdl.data.augmentations.step import Fixed, Maker
from graphdl.settings import SettingCall, bind

if TYPE_CHECKING:
    from graphdl.graph.train import Setting

AUGMENTATIONS: Mapping[str, Callable[..., Maker]] = Declared(__name__, __path__, without="step")
"""From a name after ``augment`` to its declaration; the parameters after the first are its arguments."""


def augmentation(setting: Setting) -> Maker:
    """The augmentation that a setting names.

    Raises:
        ModelError: E0702, E0703 or E0710, it is unknown, or its arguments are wrong.
    """
    call = SettingCall(setting)
    make = named(call, AUGMENTATIONS, "E0710", "augmentation")
    maker: Maker = make(call, **bind(call, make))
    return maker


def restored(described: Mapping[str, Any]) -> Fixed:
    """The step that ``described`` tells of.

    Raises:
        KeyError: there is none of this name, or a setting is missing.
        TypeError: a setting is of the wrong kind.
        ValueError: likewise.
    """
    name = described["name"]
    if name in AUGMENTATIONS:
        AUGMENTATIONS[name]  # its file has the step
    return Fixed.kinds[name].of_settings(described)
