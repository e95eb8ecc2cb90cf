"""A whole run of a model, as started by ``graphdl train`` and ``Model.fit``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphdl.data.batches import Batches
from graphdl.data.dataset import DataSet
from graphdl.data.feed import from_arrays
from graphdl.data.pipeline import pipeline
from graphdl.training import inference
from graphdl.training.claim import claimed
from graphdl.training.inference import Measurement
from graphdl.training.loop import SAVE_SECONDS, Observer, Training
from graphdl.training.preprocessing import describe, remember
from graphdl.training.run import LAST, RunFolder, create, discard, refuse_taken
from graphdl.training.sources import loader, setting_of
from graphdl.training.stages import Overrides, Stage, described

if TYPE_CHECKING:
    from graphdl.model import Model


@dataclass(frozen=True)
class TrainingOptions:
    """The settings of a run from a caller or the command line. A field that is None is as in the file."""

    batch: int | None = None
    epochs: int | None = None
    seed: int | None = None
    data: str | None = None
    """The data set as written after the word ``data``."""
    data_root: Path | None = None
    download: bool = False
    save_seconds: float = SAVE_SECONDS
    memory: int | None = None
    """The limit of memory for a training step, in bytes. Like the device, it is not stored with the run."""

    @property
    def overrides(self) -> Overrides:
        return Overrides(self.batch, self.epochs, self.seed, setting_of(self.data) if self.data is not None else None)


@dataclass(frozen=True)
class TrainingRun:
    """A run that has ended."""

    records: list[dict[str, Any]] = field(repr=False)
    """The lines of metrics."""
    steps: int = 0
    """The number of steps that this process has done."""
    folder: Path | None = None

    @property
    def epochs(self) -> list[dict[str, Any]]:
        """The lines of metrics at the ends of epochs."""
        return [record for record in self.records if record["kind"] == "epoch"]

    def _repr_html_(self) -> str:
        from graphdl.frame import frame
        from graphdl.training.curves import page

        return frame(page("run" if self.folder is None else self.folder.name, self.records))


def fit(
    model: Model,
    request: TrainingOptions,
    *,
    arrays: Mapping[str, Any] | None = None,
    out: Path | None = None,
    observer: Observer | None = None,
) -> TrainingRun:
    """Trains a model by all stages of its file, on its data sets or on ``arrays``. ``out`` is a new run folder.

    Raises:
        ModelError: a setting is wrong, the data does not fit, the folder is taken, or a loss is not finite.
        KeyboardInterrupt: Ctrl-C. With a folder, everything is saved first.
    """
    if out is None:
        return _fit(model, request, arrays or {}, None, observer)
    refuse_taken(out)
    with claimed(out):
        try:
            return _fit(model, request, arrays or {}, out, observer)
        except BaseException:
            if not (out / LAST).exists():
                discard(out)  # nothing was trained, so the next attempt may use the name
            raise


def _fit(
    model: Model, request: TrainingOptions, arrays: Mapping[str, Any], out: Path | None, observer: Observer | None
) -> TrainingRun:
    stages = model.stages(request.overrides)
    if arrays:
        inputs = model.network.training.inputs
        # An input that is missing here is an error only if training needs it.
        types = {name: value.type for name, value in inputs.items() if name in arrays}
        dataset = from_arrays(types, arrays, spans={name: value.node.span for name, value in inputs.items()})
        stages = [replace(stage, feed={}, said={**stage.said, "feed": {}}) for stage in stages]
        data: Callable[[Stage], DataSet] = lambda stage: dataset  # noqa: E731
    else:
        data = loader(root=request.data_root, download=request.download)
        for stage in stages:
            data(stage)
    folder = None
    if out is not None:
        folder = create(out, model.files, _settings(model, request, stages, data))
    training = Training(
        model.network,
        stages,
        data,
        folder=folder,
        observer=observer,
        save_seconds=request.save_seconds,
        memory=request.memory,
    )
    training.run()
    return TrainingRun(training.records, training.steps, out)


def go_on(
    model: Model, folder: RunFolder, request: TrainingOptions, *, observer: Observer | None = None
) -> TrainingRun:
    """Continues the run in a claimed folder with its model. ``request`` is complete, see ``remembered``.

    Raises:
        ModelError: the folder is damaged, or its model was changed.
        KeyboardInterrupt: Ctrl-C. Everything is saved first.
    """
    training = Training(
        model.network,
        model.stages(request.overrides),
        loader(root=request.data_root, download=request.download, origin=_origin(folder), known=model.known),
        folder=folder,
        observer=observer,
        save_seconds=request.save_seconds,
        memory=request.memory,
    )
    training.resume()
    training.run()
    return TrainingRun(training.records, training.steps, folder.path)


def evaluate(model: Model, request: TrainingOptions, *, split: str = "test", origin: Path | None = None) -> Measurement:
    """Losses and metrics on a split of the data of the last stage that names data.

    Raises:
        ModelError: there is no data, or no such split, or it does not fit the net.
    """
    stages = model.stages(request.overrides)
    stage = next((stage for stage in reversed(stages) if stage.data is not None), stages[-1])
    load = loader(root=request.data_root, download=request.download, origin=origin, split=split, known=model.known)
    dataset = load(stage)
    network = model.network
    inputs = inference.measured_inputs(network, stage.batch)
    batches = Batches(
        dataset, split, inputs, batch=stage.batch, training=False, seed=stage.seed,
        augment=pipeline(stage.augment, dataset),
        feed={name: f for name, f in stage.feed.items() if name in inputs},
        spans={name: value.node.span for name, value in network.inference.inputs.items()},
    )  # fmt: skip
    return inference.measure(network, batches)


def remembered(folder: RunFolder, request: TrainingOptions) -> tuple[TrainingOptions, Path | None]:
    """Completes a request with the settings that the run was started with.

    Returns the complete request, and the folder of the original model file.
    """
    before = folder.settings["overrides"]
    root = before.get("data_root")
    complete = replace(
        request,
        batch=before.get("batch") if request.batch is None else request.batch,
        epochs=before.get("epochs") if request.epochs is None else request.epochs,
        seed=before.get("seed") if request.seed is None else request.seed,
        data=before.get("data") if request.data is None else request.data,
        data_root=Path(root) if request.data_root is None and root else request.data_root,
    )
    return complete, _origin(folder)


def _origin(folder: RunFolder) -> Path | None:
    origin = folder.settings.get("origin")
    return Path(origin) if origin else None


def _settings(
    model: Model, request: TrainingOptions, stages: list[Stage], data: Callable[[Stage], DataSet]
) -> dict[str, Any]:
    """The content of ``settings.json``: the requested settings, and their values with all defaults."""
    path = model.source.path
    return {
        "net": model.net,
        "set": model.settings,
        "overrides": {
            "batch": request.batch,
            "epochs": request.epochs,
            "seed": request.seed,
            "data": request.data,
            "data_root": str(request.data_root.resolve()) if request.data_root is not None else None,
        },
        "origin": str(Path(path).parent) if path is not None else None,
        "seed": model.network.seed,
        "stages": [described(stage) for stage in stages],
        "data": {stage.name: remember(data(stage)) for stage in stages},
        **describe(stages[-1], data(stages[-1]), tuple(model.network.inference.inputs)),
    }
