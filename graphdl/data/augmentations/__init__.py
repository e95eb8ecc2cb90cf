"""Augmentations for ``augment`` in a train section: steps on the fields of a batch between the data set and the net.

Every module of this package except ``step`` declares the augmentation with its name by a function of that name. The
parameters of the function are the setting, followed by the user's arguments. Its docstring is the documentation. It
checks everything that does not need the data, and returns a function that makes the steps, which are defined in the
same file. NumPy is imported only when a step runs, because ``graphdl check`` reads settings, too.

Every step works on a whole batch. Random steps depend only on the seed, the epoch, the number of the step, and the
position of the example in the epoch's order. Each step declares what replaces it outside of training: itself, a step
without randomness (a crop at the centre), or nothing.
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
"""Maps a name after ``augment`` to its declaration. Its parameters after the first are the arguments."""


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
    """The step with the settings that ``Fixed.described`` returned.

    Raises:
        KeyError: there is no step of this name, or a setting is missing.
        TypeError: a setting is of the wrong kind.
        ValueError: a setting is out of range.
    """
    name = described["name"]
    if name in AUGMENTATIONS:
        AUGMENTATIONS[name]  # importing its file registers the step
    return Fixed.kinds[name].of_settings(described)
