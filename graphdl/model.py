"""Models in Python: the results of ``graphdl.load``."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from graphdl import collector
from graphdl.compiler.lowering import Lowered
from graphdl.compiler.program import Program
from graphdl.data.dataset import Sizes
from graphdl.diagnostics import Diagnostic, ModelError
from graphdl.graph.model import ModuleGraph
from graphdl.operators.tensor import Tensor
from graphdl.source import Source
from graphdl.summary import read_size, summarize, table
from graphdl.training import checkpoint, inference
from graphdl.training.claim import claimed
from graphdl.training.copying import copy
from graphdl.training.network import Network
from graphdl.training.preprocessing import known_of
from graphdl.training.profiling import RUNS, Profile, profile_prediction, profile_step
from graphdl.training.program import REPORT, output_tensors, step_tensors
from graphdl.training.run import RunFolder, open_run, tidy
from graphdl.training.samples import sample
from graphdl.training.stages import Overrides, Stage, named, stages
from graphdl.training.trainer import Trainer
from graphdl.training.tuning import BUDGET, Tuned, tune
from graphdl.training.turns import Turns, trainer_of
from graphdl.training.values import Values

if TYPE_CHECKING:
    import networkx
    from PIL.Image import Image

    from graphdl.data.known import Known
    from graphdl.importing.imported import Imported
    from graphdl.language.expansion.expander import Loaded
    from graphdl.training.fit import TrainingOptions, TrainingRun
    from graphdl.training.inference import Measurement
    from graphdl.training.loop import Observer


def load(
    path: str | os.PathLike[str], *, net: str | None = None, seed: int | None = None, device: str | None = None,
    **settings: Any,
) -> Model:  # fmt: skip
    """The model of a ``.net`` file: the net that it trains by name, else its last one, or the one named ``net``.

    ``settings`` are hyperparameters of the net or of the file, and arguments of train sections
    (``**{"optimizer.lr": 0.1}``). ``seed`` determines the initial weights; by default it
    is that of the train section, else 0. ``device`` is an index, ``gpu``, ``cpu``, ``gpu:1`` or a part of a name; by
    default it is the environment variable GRAPHDL_DEVICE. A run folder of ``graphdl train`` is loaded with its best
    weights; ``net`` then names another net of its file, which takes the weights with the names of its own.

    Raises:
        ModelError: the file has errors; it contains all diagnostics.
    """
    from graphdl.language import load_source

    if Path(path).is_dir():
        return open_model(Path(path), device=device, net=net)[0]
    return Model(load_source(path), net=net, seed=seed, device=device, settings=settings)


def loads(
    text: str, *, net: str | None = None, seed: int | None = None, device: str | None = None, **settings: Any
) -> Model:
    """The model of a text in the language; see ``load``."""
    return Model(Source("<string>", text), net=net, seed=seed, device=device, settings=settings)


def import_onnx(
    path: str | os.PathLike[str],
    *,
    constants: Mapping[str, Any] | None = None,
    sizes: Mapping[str, int] | None = None,
    device: str | None = None,
) -> Model:
    """The model of an ONNX file, with its weights.

    ``constants`` fixes the values of inputs of the graph, by name. ``sizes`` are lengths of dimensions that the file
    leaves open, by name; the batch needs none. ``str(model.source)`` is its text in the language.

    Raises:
        ModelError: E0901, the package ``onnx`` is not installed; E0902, the file cannot be read; E0903, it holds what
            is not supported: all of it is named.
    """
    from graphdl.onnx import read_file

    return of_imported(read_file(Path(path), constants=constants, sizes=sizes), device=device)


def import_darknet(
    configuration: str | os.PathLike[str],
    weights: str | os.PathLike[str] | None = None,
    *,
    device: str | None = None,
) -> Model:
    """The model of a Darknet ``.cfg`` file, with the numbers of a ``.weights`` file; without one they are 0.

    Raises:
        ModelError: E0904, a file cannot be read, or the two do not fit; E0903, layers are not supported: all are named.
    """
    from graphdl.darknet import read_files

    return of_imported(read_files(Path(configuration), Path(weights) if weights is not None else None), device=device)


def import_caffe(
    prototxt: str | os.PathLike[str],
    caffemodel: str | os.PathLike[str] | None = None,
    *,
    device: str | None = None,
) -> Model:
    """The model of a Caffe ``.prototxt`` file, with the numbers of a ``.caffemodel`` file; without one they are 0.

    Raises:
        ModelError: E0901, the package protobuf is missing; E0905, a file cannot be read, or the two do not fit; E0903,
            layers are not supported: all are named.
    """
    from graphdl.caffe import read_files

    return of_imported(read_files(Path(prototxt), Path(caffemodel) if caffemodel is not None else None), device=device)


def of_imported(imported: Imported, *, device: str | None = None) -> Model:
    """The model of an imported net, with its weights."""
    model = Model(Source("<imported>", imported.text), device=device)
    checkpoint.assign(model.network, checkpoint.Checkpoint(imported.weights), Path("the imported file"))
    return model


def write_imported(imported: Imported, path: Path) -> Path:
    """Writes an imported net, and its weights beside it; returns the path of the weights.

    Raises:
        OSError: a file cannot be written.
    """
    weights = path.with_suffix(".safetensors")
    checkpoint.write_atomically(path, imported.text.encode())
    checkpoint.save(weights, checkpoint.Checkpoint(imported.weights))
    return weights


def open_model(path: Path, *, device: str | None = None, net: str | None = None) -> tuple[Model, RunFolder]:
    """The model of a run folder with its best weights, or its last ones. ``net`` is another net of the file, which
    takes those weights that have the names of its own.

    Raises:
        ModelError: the folder holds no run, is damaged, or has no checkpoint yet.
    """
    folder = open_run(path)
    model = Model.of_run(folder, device=device, net=net)
    file = folder.best if folder.best.exists() else folder.last
    if not file.exists():
        raise ModelError(Diagnostic("E0618", f"{path} has no checkpoint yet"))
    checkpoint.assign(model.network, folder.load(file), file, is_others=net is not None)
    return model, folder


def resume(
    path: Path, request: TrainingOptions, *, device: str | None = None, observer: Observer | None = None
) -> TrainingRun:
    """Continues a run. The settings that ``request`` leaves open are those with which the run was started.

    Raises:
        ModelError: the folder holds no run, is damaged or in use, or its model was changed.
        KeyboardInterrupt: Ctrl-C. Everything is saved first.
    """
    from graphdl.training.fit import go_on, remembered

    open_run(path)  # raises before a folder that is no run is claimed
    with claimed(path):
        tidy(path)
        folder = open_run(path)
        model = Model.of_run(folder, device=device)
        return go_on(model, folder, remembered(folder, request)[0], observer=observer)


class Model:
    """A net for prediction, training, saving and inspection. A device is opened only when a program needs it."""

    def __init__(
        self,
        source: Source,
        *,
        net: str | None = None,
        seed: int | None = None,
        device: str | None = None,
        settings: Mapping[str, Any] | None = None,
        root: Path | None = None,
        known: Mapping[str, Known] | None = None,
    ) -> None:
        """``root`` is the folder that imports must not leave, by default the project's. ``known`` has the facts that a
        run stores about the data of its stages, by stage name.
        """
        from graphdl.language import read

        self._written: Loaded | None = read(source, root=str(root) if root is not None else None)
        self.net = net
        self.settings = dict(settings or {})
        self.known = dict(known or {})
        expanded = partial(self._written.expand, net=net, settings=self.settings)
        settings_of = self.settings
        self.network = _network(
            expanded(),
            lambda: expanded(training=True),
            seed,
            device,
            lambda sizes: expanded(training=True, settings={**settings_of, **dict(sizes)}),
        )

    @classmethod
    def of_graph(
        cls,
        inference: ModuleGraph,
        training: ModuleGraph | None = None,
        *,
        seed: int | None = None,
        device: str | None = None,
    ) -> Model:
        """The model of a graph that was built in Python. ``training`` is the graph for training, if it is a different
        one.

        It has all functions of the model of a file, except that it cannot write a run folder, which contains the
        model's text.
        """
        model = cls.__new__(cls)
        model._written, model.net, model.settings, model.known = None, None, {}, {}
        model.network = _network(inference, lambda: training or inference, seed, device)
        return model

    @property
    def source(self) -> Source:
        """The text of the model.

        Raises:
            ValueError: the model was built in Python.
        """
        return self._text.source

    @property
    def files(self) -> list[Source]:
        """The file of the model and all files that it imports, except the standard library.

        Raises:
            ValueError: the model was built in Python.
        """
        return self._text.files

    @property
    def _text(self) -> Loaded:
        if self._written is None:
            raise ValueError(f"the net '{self.name}' was built in Python and has no text")
        return self._written

    @classmethod
    def of_run(cls, folder: RunFolder, *, device: str | None = None, net: str | None = None) -> Model:
        """The model of a run folder, with its initial weights. It imports only files in the folder. ``net`` is another
        net of the file, with those settings of the run that it knows.
        """
        from graphdl.language import load_source, read

        settings = folder.settings
        source = load_source(folder.main)
        given = settings["set"]
        if net is not None:
            known = read(source, root=str(folder.sources_folder)).settable(net)
            given = {name: value for name, value in given.items() if name in known}
        return cls(
            source,
            net=net or settings["net"],
            seed=settings.get("seed"),
            device=device,
            settings=given,
            root=folder.sources_folder,
            known=known_of(settings.get("data", {})),
        )

    @property
    def name(self) -> str:
        """The name of the net."""
        return self.network.inference.name

    @property
    def module_graph(self) -> ModuleGraph:
        """The expanded net for inference, as plain data."""
        return self.network.inference

    def __str__(self) -> str:
        return table(summarize(self.network.inference))

    def __repr__(self) -> str:
        return f"<graphdl.Model {self.name} of {self._written.source.name if self._written is not None else 'Python'}>"

    def _repr_html_(self) -> str:
        from graphdl.view.notebook import model_html

        return model_html(self)

    def _repr_svg_(self) -> str:
        from graphdl.view.notebook import model_svg

        return model_svg(self)

    @cached_property
    def graph(self) -> networkx.MultiDiGraph:
        """The module graph, for networkx: see ``graphdl.graph.digraph``."""
        from graphdl.graph.digraph import digraph

        return digraph(self.network.inference)

    @cached_property
    def parameters(self) -> Values:
        """The trained parameters by path: NumPy arrays, copied from the net. Assign to an entry to set it."""
        return Values(self.network, lambda graph: graph.parameters, "parameter")

    @cached_property
    def states(self) -> Values:
        """The states by path (such as a batchnorm's mean), like ``parameters``."""
        return Values(self.network, lambda graph: graph.states, "state")

    def predict(self, *, batch: int | None = None, **inputs: Any) -> dict[str, np.ndarray]:
        """The outputs by name, ``[examples, *shape]``, for inputs with any number of examples.

        Raises:
            ModelError: the inputs do not fit the net (E0713 to E0717), or it has no output.
        """
        return inference.predict(self.network, inputs, batch)

    def run(self, inputs: Mapping[str, Any], *, batch: int | None = None) -> dict[str, np.ndarray]:
        """``predict`` for inputs in a mapping."""
        return inference.predict(self.network, inputs, batch)

    def picture(
        self,
        what: str,
        *names: str,
        data: str | None = None,
        split: str = "test",
        example: int = 0,
        count: int | None = None,
        data_root: str | os.PathLike[str] | None = None,
        **inputs: Any,
    ) -> Image:
        """A picture as a Pillow image: ``model.picture("confusion").save("confusion.png")``.

        ``what`` is ``filters``, ``maps``, ``confusion``, ``reconstructions``, ``samples``, ``surface``, ``attention``
        or ``spectrogram``; ``names`` are those of parameters, modules or outputs. Examples are ``inputs``, or ``count``
        examples of a split of the file's data, or of ``data``, from number ``example`` on.

        Raises:
            ModelError: E0623, the net, the names or the examples do not fit the picture; the data is missing.
        """
        from graphdl.view import plates

        arrays = {name: np.asarray(array) for name, array in inputs.items()}
        if not arrays:
            root = Path(data_root) if data_root is not None else None
            arrays = plates.examples_for(self, what, data, split, example, count, root=root)
        return plates.draw(self, what, names, arrays)

    def export_onnx(self, path: str | os.PathLike[str]) -> int:
        """Writes the prediction as an ONNX file, with the weights, and returns the number of its nodes.

        Its inputs are those that the outputs need, ``[batch, *shape]`` with any number of examples.

        Raises:
            ModelError: E0901, the package ``onnx`` is not installed; E0906, ONNX cannot hold the net; E0621, it has no
                output.
            OSError: the file cannot be written.
        """
        from graphdl.onnx.exporting import export

        model = export(self.network.inference, self.network.read)
        checkpoint.write_atomically(Path(path), model.SerializeToString())
        return len(model.graph.node)

    def gradients(self, *, training: bool = True, **inputs: Any) -> tuple[float, dict[str, np.ndarray]]:
        """The loss of one batch (the mean, summed over all losses) and its gradients by parameter path.

        Without ``training`` the net is as in inference: no dropout, running statistics.

        Raises:
            ModelError: the inputs do not fit the net (E0713 to E0717), or it has no loss.
        """
        minimize = tuple(self.network.graph(training).losses)
        return inference.gradients(self.network, inputs, minimize, training=training)

    def stages(self, overrides: Overrides | None = None) -> list[Stage]:
        """The training stages of the file, checked; one with defaults if the file has none.

        Raises:
            ModelError: E06…, a setting is wrong.
        """
        return stages(self.network.training, overrides)

    def trainer(
        self,
        *,
        batch: int | None = None,
        stage: int | str | None = None,
        device: str | None = None,
        steps_per_epoch: int | None = None,
        memory: int | str | None = None,
    ) -> Trainer | Turns:
        """A trainer with the settings of the file's train section: the first one, or the one with this number or name.

        If the section has turns, the steps of the trainer alternate as the turns do. ``stage="name.turn"`` is a trainer
        of one turn alone. The ``start`` settings of the stage are carried out.

        A schedule that counts in epochs needs ``steps_per_epoch``. ``memory`` is a limit in bytes, or a size such as
        ``"1.5GiB"``: a step that needs more computes tensors again in the reverse pass, to the same numbers.

        Raises:
            ModelError: a setting of the section or the size is wrong, there is no such stage, or the net has no loss.
            DeviceError: there is no such device, it has too little memory, or the limit cannot be kept (E0803).
        """
        self.network.use(device)
        chosen = named(self.stages(Overrides(batch=batch)), stage)
        return trainer_of(self.network, chosen, steps_per_epoch=steps_per_epoch, memory=_limit(memory), begins=True)

    def fit(
        self,
        data: str | None = None,
        *,
        epochs: int | None = None,
        batch: int | None = None,
        seed: int | None = None,
        out: str | os.PathLike[str] | None = None,
        data_root: str | os.PathLike[str] | None = None,
        download: bool = False,
        memory: int | str | None = None,
        **inputs: Any,
    ) -> TrainingRun:
        """Trains by all stages of the file, on its data, or on ``data`` (``"mnist"``, ``'csv("a.csv")'``), or on arrays
        for the inputs: ``model.fit(image=x, label=y)``.

        ``out`` is a folder for the run. ``epochs``, ``batch`` and ``seed`` (for the data's order and the random draws)
        override the file. ``memory`` is as for ``trainer``.

        Raises:
            ModelError: a setting is wrong, the data does not fit the net, or a loss is not finite (E0615).
            DeviceError: the device has too little memory, or the limit of memory cannot be kept (E0803).
            ValueError: with ``out``, the model has no text because it was built in Python.
        """
        from graphdl.training import fit

        if out is not None:
            _ = self.source
        root = Path(data_root) if data_root is not None else None
        request = fit.TrainingOptions(batch, epochs, seed, data, root, download, memory=_limit(memory))
        return fit.fit(self, request, arrays=inputs, out=Path(out) if out is not None else None)

    def evaluate(
        self,
        data: str | None = None,
        *,
        split: str = "test",
        data_root: str | os.PathLike[str] | None = None,
        download: bool = False,
    ) -> Measurement:
        """Losses and metrics on a split of the file's data, or of ``data``.

        Raises:
            ModelError: there is no data or no such split, or it does not fit the net.
        """
        from graphdl.training import fit

        root = Path(data_root) if data_root is not None else None
        return fit.evaluate(self, fit.TrainingOptions(data=data, data_root=root, download=download), split=split)

    @collector.paused()
    def compile(self, *, batch: int = 1, training: bool = False, memory: int | str | None = None) -> Program:
        """The program of one training step (of the first stage), or of a prediction: kernels, launches, memory.

        ``memory`` is as for ``trainer``.

        Raises:
            ModelError: the net has no loss to train by, or no output to predict.
            DeviceError: the limit of memory cannot be kept (E0803).
        """
        lowered, tensors, names = self._results(batch, training)
        variables = {name: tensor for name, tensor in tensors.items() if name not in names}
        precision = self.stages()[0].precision if training else "float32"
        stores = self.network.stores(precision, lowered.losses.values())
        return self.network.compiled({name: tensors[name] for name in names}, variables, _limit(memory), stores)

    def profile(
        self, *, batch: int | None = None, training: bool = True, runs: int = RUNS, memory: int | str | None = None
    ) -> Profile:
        """The time of a training step (of the first stage) or of a prediction, by kernel (``profile.kernels``), by
        module (``profile.modules``) and by line (``profile.lines``), the slowest first. The model stays unchanged.

        ``memory``, for a training step, is as for ``trainer``.

        Raises:
            ModelError: the net has no loss to train by, or no output to predict.
            DeviceError: there is no such device, it has too little memory, or the limit cannot be kept (E0803).
        """
        stage = self.stages(Overrides(batch=batch))[0].first if training else None
        arrays = sample(self.network, stage.batch if stage is not None else batch or 1, known=self.known).arrays
        if stage is None:
            return profile_prediction(self.network, arrays, runs)
        return profile_step(self.network, stage, arrays, runs, _limit(memory))

    def tune(self, *, seconds: float = BUDGET, batch: int | None = None, training: bool = True) -> Tuned:
        """Searches for the fastest forms of the kernels of a training step (of the first stage) or of a prediction, and
        stores them for the device. Every program that is compiled later uses them. The model stays unchanged.

        Raises:
            ModelError: the net has no loss to train by, or no output to predict.
            DeviceError: there is no such device, or it has too little memory.
            OSError: the results cannot be stored.
        """
        stage = self.stages(Overrides(batch=batch))[0].first if training else None
        arrays = sample(self.network, stage.batch if stage is not None else batch or 1, known=self.known).arrays
        return tune(self.network, stage, arrays, seconds)

    def tensors(self, *, batch: int = 1, training: bool = False) -> dict[str, Tensor]:
        """The operator tensors that ``compile`` compiles, before any pass: the outputs by name, or the report of a step
        and the next value of every variable.
        """
        return self._results(batch, training)[1]

    def _results(self, batch: int, training: bool) -> tuple[Lowered, dict[str, Tensor], list[str]]:
        """The graph of a program, its results, and the names of the fetched ones."""
        overrides = Overrides(batch=batch)
        lowered = self.network.lower(training, batch)
        if not training:
            outputs = output_tensors(lowered)
            return lowered, dict(outputs), list(outputs)
        step = step_tensors(lowered, self.stages(overrides)[0].first)
        return lowered, {REPORT: step.report, **step.updates}, [REPORT]

    def copy_weights(self, target: str, source: str, *, share: float = 1.0) -> None:
        """Copies parameters and states: ``copy_weights("target.*", "online.*")`` gives each variable ``target.…`` the
        value of the ``online.…`` of the same rest. Each pattern has at most one ``*``.

        With a ``share`` below 1 the targets move by that share towards the sources (Lillicrap et al., 2016).

        Raises:
            ModelError: E0622, no variable matches a pattern, or one has no counterpart; E0609, two shapes differ.
        """
        copy(self.network, target, source, share)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the parameters and states to a safetensors file.

        Raises:
            OSError: it cannot be written.
        """
        checkpoint.save(Path(path), checkpoint.weights(self.network))

    def load_weights(self, path: str | os.PathLike[str]) -> None:
        """Reads the parameters and states from a safetensors file.

        Raises:
            ModelError: E0616, the file is damaged; E0617, it does not fit the net.
        """
        checkpoint.assign(self.network, checkpoint.load(Path(path)), Path(path))


def _limit(memory: int | str | None) -> int | None:
    """A limit of memory in bytes. Raises ModelError (E0624) for a text that is no size."""
    return read_size(memory) if isinstance(memory, str) else memory


def _network(
    inference: ModuleGraph,
    training: Callable[[], ModuleGraph],
    seed: int | None,
    device: str | None,
    resized: Callable[[Sizes], ModuleGraph] | None = None,
) -> Network:
    """The net of two graphs. The default seed is that of the train sections."""
    if seed is None:
        seed = next((section.seed for section in inference.stages if section.seed is not None), 0)
    return Network(lambda t: training() if t else inference, seed=seed, device=device, resized=resized)
