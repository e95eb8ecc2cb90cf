"""Data sets for ``data`` in a train section, with their arguments.

Every module of this package except ``loader`` declares the data set with its name by a function of that name. The
parameters of the function are the setting, followed by the user's arguments. Its docstring is the documentation. It
checks everything that does not need the data, and returns the function that loads the data set. Expensive imports
happen only in that function, because ``graphdl check`` reads settings, too.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any

from graphdl.data.arguments import Declared, named
from graphdl.data.declared.loader import Loader
from graphdl.data.reading import LIMIT
from graphdl.settings import SettingCall, bind, fits, written

if TYPE_CHECKING:
    from graphdl.graph.train import Setting

DATA_SETS: Mapping[str, Callable[..., Loader]] = Declared(__name__, __path__, without="loader")
"""Maps a name after ``data`` to its declaration. Its parameters after the first are the arguments."""


COMMON: Mapping[str, Any] = {"validation": 0.0, "limit": LIMIT, "group": None, "blocks": None}
"""The arguments that every data set takes, with their defaults."""


class _WithCommon(Mapping[str, Callable[..., Loader]]):
    """The declarations, with the arguments that every data set takes in their signatures, for editors."""

    def __getitem__(self, name: str) -> Callable[..., Loader]:
        make = DATA_SETS[name]

        @wraps(make)
        def complete(*arguments: Any, **keywords: Any) -> Loader:
            return make(*arguments, **keywords)

        signature = inspect.signature(make)
        own = list(signature.parameters.values())
        common = [
            inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, default=value) for key, value in COMMON.items()
        ]
        others = [own.pop()] if own[-1].kind is inspect.Parameter.VAR_KEYWORD else []
        complete.__signature__ = signature.replace(parameters=[*own, *common, *others])  # type: ignore[attr-defined]
        return complete

    def __iter__(self) -> Iterator[str]:
        return iter(DATA_SETS)

    def __len__(self) -> int:
        return len(DATA_SETS)


COMPLETE: Mapping[str, Callable[..., Loader]] = _WithCommon()
"""``DATA_SETS`` with all arguments of each data set in its signature."""


@dataclass(frozen=True)
class Chosen:
    """A data set with its arguments."""

    load: Loader
    validation: float
    """The fraction of the training split to hold out."""
    limit: float
    """The limit of memory for one file, in GiB."""
    group: tuple[str, ...]
    """The names by which examples are kept together where a split is divided."""
    blocks: int
    """The number of contiguous blocks into which a split is divided; 0 for none."""


def data_set(setting: Setting) -> Chosen:
    """The data set that a setting names.

    Raises:
        ModelError: E0701 to E0703, it is unknown, or its arguments are wrong.
    """
    call = SettingCall(setting)
    make = named(call, DATA_SETS, "E0701", "data set")
    arguments = bind(call, make, extra=list(COMMON))
    fraction: Any = setting.keywords.get("validation", 0.0)
    if not fits(fraction, float) or not 0 <= fraction < 1:
        raise call.error(
            "E0703",
            f"'validation' must be a number of at least 0 and below 1, found {written(fraction)}",
            argument="validation",
        )
    limit: Any = setting.keywords.get("limit", LIMIT)
    if not fits(limit, float) or limit <= 0:
        raise call.error(
            "E0703",
            f"'limit' must be a positive number of GiB, found {written(limit)}",
            argument="limit",
        )
    group, blocks = _together(call)
    return Chosen(make(call, **arguments), float(fraction), float(limit), group, blocks)


def _together(call: SettingCall) -> tuple[tuple[str, ...], int]:
    """The arguments ``group`` and ``blocks``, of which at most one is given."""
    keywords = call.setting.keywords
    group: Any = keywords.get("group", [])
    group = [group] if isinstance(group, str) else group
    if not fits(group, list[str]) or ("group" in keywords and not group):
        message = f"'group' must be a text or a list of texts, found {written(keywords['group'])}"
        raise call.error("E0703", message, argument="group")
    blocks: Any = keywords.get("blocks", 0)
    if "blocks" in keywords and (not fits(blocks, int) or blocks < 2):
        raise call.error("E0703", f"'blocks' must be an int of at least 2, found {written(blocks)}", argument="blocks")
    if group and blocks:
        raise call.error(
            "E0703", "examples are kept together by 'group' or by 'blocks', not by both", argument="blocks"
        )
    return tuple(group), blocks
