"""The model for ``eval`` and ``predict``: that of a run folder, or that of a file with weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from graphdl.model import Model
    from graphdl.training.run import RunFolder
    from graphdl.training.stages import Overrides


def open_target(
    target: Path,
    weights: Path | None,
    *,
    net: str | None,
    settings: Mapping[str, str],
    device: str | None,
    takes_others: bool = False,
) -> tuple[Model, RunFolder | None]:
    """The model with its weights, and its run folder if it has one. ``takes_others``: ``net`` may name another net of a
    run's file.

    Raises:
        click.UsageError: a file with parameters and without weights, or a run with settings of a file.
        ModelError: the run, the file or the weights have errors.
    """
    if target.is_dir():
        if settings or (net is not None and not takes_others):
            raise click.UsageError(
                f"a run has its {'' if takes_others else 'net and '}settings: leave "
                f"{'' if takes_others else '--net and '}--set out"
            )
        from graphdl.model import open_model

        model, folder = open_model(target, device=device, net=net)
        if weights is not None:
            model.load_weights(weights)
        return model, folder
    from graphdl.language import load_source
    from graphdl.model import Model

    model = Model(load_source(target), net=net, device=device, settings=settings)
    if weights is not None:
        model.load_weights(weights)
    elif model.parameters or model.states:
        raise click.UsageError(f"'{target}' is no run folder; a model file with parameters needs --weights FILE")
    return model, None


def open_model(target: Path, *, net: str | None, settings: Mapping[str, str], device: str | None) -> Model:
    """The model of a file with its initial weights, or of a run with its trained ones.

    Raises:
        click.UsageError: a run with settings of a file.
        ModelError: the run or the file has errors.
    """
    if target.is_dir():
        return open_target(target, None, net=net, settings=settings, device=device)[0]
    from graphdl.language import load_source
    from graphdl.model import Model

    return Model(load_source(target), net=net, device=device, settings=settings)


def data_of(target: Path, data: str | None, root: Path | None) -> tuple[Overrides, Path | None, Path | None]:
    """The data on which a file or a run is measured, the folder of data sets, and the folder of the model file.

    Raises:
        ModelError: ``data`` names no data set, or the run has errors.
    """
    from graphdl.training.fit import TrainingOptions, remembered
    from graphdl.training.run import open_run

    request, origin = TrainingOptions(data=data, data_root=root), target.parent
    if target.is_dir():
        request, known = remembered(open_run(target), request)
        origin = known or origin
    return request.overrides, request.data_root, origin
