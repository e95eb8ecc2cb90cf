"""Loading of data sets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from graphdl.data.dataset import DataSet, stratum
from graphdl.data.declared import data_set
from graphdl.data.division import Division
from graphdl.data.known import Known
from graphdl.data.request import DataRequest, default_root
from graphdl.graph.train import Setting, setting_of


def load(
    setting: Setting | str,
    *,
    root: Path | None = None,
    splits: Sequence[str] = ("train", "test"),
    download: bool = False,
    mirrors: Sequence[str] | None = None,
    known: Known | None = None,
) -> DataSet:
    """Loads the data set that a train section's ``data`` names.

    Every data set takes ``validation``, the fraction of its training split to hold out (fixed, and stratified if there
    is a field ``label``; of a text the end), ``group`` and ``blocks``, which keep examples together in such divisions,
    and ``limit``, the GiB of memory for one of its files. ``root`` is the folder of data sets, by default
    ``GRAPHDL_DATA`` or else the user's cache. ``splits`` are those that will be used: large data sets read no others.
    With ``download``, a missing official archive is fetched, from ``mirrors`` if they
    are given. ``known`` has the facts that a run trained on the data has stored: classes keep their numbers, and
    columns their order.

    Raises:
        ModelError: E0701 to E0709 or E0718, the data set is unknown, its arguments are wrong, or its files are missing,
            damaged or too large.
    """
    if isinstance(setting, str):
        setting = setting_of(setting)
    chosen = data_set(setting)
    fraction = chosen.validation
    wanted = {*splits, "train"} if fraction else {*splits}
    request = DataRequest(
        setting,
        root=(root or default_root()).expanduser(),
        splits=tuple(sorted(wanted)),
        download=download,
        mirrors=None if mirrors is None else tuple(mirrors),
        limit=chosen.limit,
        validation=fraction,
        division=Division(chosen.group, chosen.blocks),
        known=known or Known(),
    )
    dataset = chosen.load(request)
    if fraction and not dataset.is_divided:
        train = dataset.split("train")
        remaining, held_out = request.divide(train, fraction, "validation", stratum(train))
        dataset = replace(dataset, splits={**dataset.splits, "train": remaining, "validation": held_out})
    if (chosen.group or chosen.blocks) and not request.division.made:
        word = "group" if chosen.group else "blocks"
        raise request.error(
            "E0703",
            f"'{word}' of '{setting.name}' has no effect: its splits are given, and none is divided",
            argument=word,
            help="hold out a part of the training split: 'validation = 0.1'",
        )
    for split in splits:
        dataset.split(split)
    return dataset
