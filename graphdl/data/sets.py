"""The data sets by name, and ``load``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from graphdl.data.archives import npz
from graphdl.data.bundled import digits, iris, noise, table
from graphdl.data.cifar import cifar10
from graphdl.data.dataset import DataSet, divide
from graphdl.data.folders import folder
from graphdl.data.idx import fashion_mnist, mnist
from graphdl.data.request import Request, default_root
from graphdl.data.tables import csv
from graphdl.graph.model import Setting
from graphdl.settings import Call, bind, fits, setting_of, written
from graphdl.suggest import did_you_mean

DATA_SETS: Mapping[str, Callable[..., DataSet]] = {
    loader.__name__: loader for loader in (cifar10, csv, digits, fashion_mnist, folder, iris, mnist, noise, npz, table)
}
"""From a set's name to its loader; the loader's parameters after the first are the arguments that the set takes."""


def load(
    setting: Setting | str,
    *,
    root: Path | None = None,
    splits: Sequence[str] = ("train", "test"),
    download: bool = False,
    mirrors: Sequence[str] | None = None,
) -> DataSet:
    """The data set that a train section's ``data`` names.

    Every set takes ``validation``, a fraction of its training split to hold out (fixed, by class where there is a
    field ``label``). ``root`` is the folder of data sets, by default ``GRAPHDL_DATA`` or else the user's cache.
    ``splits`` are those that will be used: large sets read no others. A missing official archive is fetched if
    ``download`` says so, from ``mirrors`` in place of its own addresses where they are given.

    Raises:
        ModelError: E0701 to E0709, the set is unknown, its arguments are wrong, or its files are missing or damaged.
    """
    if isinstance(setting, str):
        setting = setting_of(setting)
    call = Call(setting)
    if setting.name not in DATA_SETS:
        raise call.error(
            "E0701",
            f"unknown data set '{setting.name}'",
            notes=[f"known: {', '.join(DATA_SETS)}"],
            help=did_you_mean(setting.name, list(DATA_SETS)),
        )
    loader = DATA_SETS[setting.name]
    arguments = bind(call, loader, extra=("validation",))
    fraction = _validation(call)
    wanted = {*splits, "train"} if fraction else {*splits}
    request = Request(
        setting,
        root=(root or default_root()).expanduser(),
        splits=tuple(sorted(wanted)),
        download=download,
        mirrors=None if mirrors is None else tuple(mirrors),
    )
    dataset = loader(request, **arguments)
    if fraction:
        train = dataset.split("train")
        kind = train.types.get("label")
        stratify = "label" if kind is not None and kind.classes is not None and kind.rank == 0 else None
        remaining, held_out = divide(train, fraction, "validation", stratify)
        dataset = replace(dataset, splits={**dataset.splits, "train": remaining, "validation": held_out})
    for split in splits:
        dataset.split(split)
    return dataset


def _validation(call: Call) -> float:
    value: Any = call.setting.keywords.get("validation", 0.0)
    if not fits(value, float) or not 0 <= value < 1:
        raise call.error(
            "E0703",
            f"'validation' must be a number of at least 0 and below 1, found {written(value)}",
            argument="validation",
        )
    return float(value)
