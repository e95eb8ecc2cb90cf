"""The source of a stage's data: the data set that its section, the caller or the command line names."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from graphdl.data import sets
from graphdl.data.dataset import DataSet
from graphdl.data.declared import data_set
from graphdl.data.known import Known
from graphdl.data.reading import LIMIT
from graphdl.diagnostics import Diagnostic, ModelError
from graphdl.graph.train import Setting
from graphdl.source import Source
from graphdl.training.stages import Stage


def setting_of(text: str) -> Setting:
    """Parses ``text`` as written after the word ``data``: ``mnist``, ``csv("a.csv", label = "kind")``.

    Raises:
        ModelError: it is not a name with arguments.
    """
    from graphdl.language import expand

    source = Source("--data", f"train {{ data {text} }}\nnet data {{\n    input x: [1]\n    loss x[0]\n}}\n")
    setting = expand(source).stages[0].data
    if setting is None:
        raise ModelError(Diagnostic("E0619", f"'{text}' names no data set"))
    return setting


def limit_of(stages: Sequence[Stage]) -> float:
    """The size limit of a file in GiB, according to the last stage that names data."""
    return next((data_set(stage.data).limit for stage in reversed(stages) if stage.data is not None), LIMIT)


def loader(
    *,
    root: Path | None = None,
    download: bool = False,
    origin: Path | None = None,
    split: str | None = None,
    known: Mapping[str, Known] | None = None,
) -> Callable[[Stage], DataSet]:
    """A function that loads the data of a stage: its training split, and ``split`` or else the split that measures it.

    ``root`` is the folder of data sets. Files that the model names are also searched in ``origin``, the folder of the
    original model file. Each data set is read once. A data set that holds out a part for validation is measured on that
    part. ``known`` has the facts that a run stores about the data of its stages, by stage name.
    """
    loaded: dict[str, DataSet] = {}

    def load(stage: Stage) -> DataSet:
        setting = stage.data
        if setting is None:
            raise ModelError(
                Diagnostic(
                    "E0619",
                    f"nothing says what data stage '{stage.name}' is trained on",
                    stage.span if stage.span.text else None,
                    help="write it into the train section (data digits), name it with --data digits, or feed arrays "
                    "from Python: model.fit(image = x, label = y)",
                )
            )
        key = repr((setting.name, setting.arguments, sorted(setting.keywords.items())))
        if key not in loaded:
            wanted: Sequence[str] = ("train", split or "test")
            if split is None and setting.keywords.get("validation"):
                wanted = ("train",)
            before = (known or {}).get(stage.name, Known())
            roots = [root, origin] if origin is not None else [root]
            loaded[key] = _load(setting, wanted, roots, download, before)
        return loaded[key]

    return load


def _load(
    setting: Setting, splits: Sequence[str], roots: Sequence[Path | None], download: bool, known: Known
) -> DataSet:
    errors = []
    for root in roots:
        try:
            return _with_splits(setting, splits, root, download, known)
        except ModelError as error:
            if {d.code for d in error.diagnostics} != {"E0704"}:
                raise
            errors.append(error)
    raise errors[0]


def _with_splits(setting: Setting, splits: Sequence[str], root: Path | None, download: bool, known: Known) -> DataSet:
    try:
        return sets.load(setting, root=root, splits=splits, download=download, known=known)
    except ModelError as error:
        if splits == ("train",) or {d.code for d in error.diagnostics} != {"E0712"}:
            raise
    # There is no split to measure on; the training split is enough to train.
    return sets.load(setting, root=root, splits=("train",), download=download, known=known)
