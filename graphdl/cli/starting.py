"""A starting file: a copy of a shipped model whose data sections and sizes are those of the user's data."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from graphdl.data.batches import Batches
from graphdl.data.dataset import ArrayField, DataSet
from graphdl.data.declared import DATA_SETS
from graphdl.data.pictures import SUFFIXES as PICTURES
from graphdl.data.pipeline import pipeline
from graphdl.data.recordings import SUFFIXES as SOUNDS
from graphdl.data.text_tables import is_number
from graphdl.diagnostics import Diagnostic, ModelError
from graphdl.graph.model import ModuleGraph
from graphdl.graph.types import TensorType
from graphdl.language import expand, load_source
from graphdl.language.parser import parse
from graphdl.language.syntax import (
    Call,
    Declare,
    Expression,
    File,
    Import,
    Let,
    Literal,
    Name,
    Net,
    Rest,
    Setting,
    Train,
    TypeExpression,
)
from graphdl.resources import resource
from graphdl.source import Source, Span
from graphdl.training.sources import loader
from graphdl.training.stages import Stage, stages

_LABELS = ("label", "class", "target", "species", "kind", "category", "y")
"""Names of columns that are likely to be what is predicted."""
_OF_THE_NET: Mapping[str, tuple[str, ...]] = {
    "audio": ("rate", "length", "levels"),
    "folder": ("size", "channels"),
    "pairs": ("unit", "length", "vocabulary", "lower"),
    "text": ("unit", "length", "vocabulary", "lower", "step"),
}
"""Arguments that stay when other data takes the place of a model's own."""


def shipped() -> dict[str, Path]:
    """The shipped models by name, such as ``lenet``, without the files that hold blocks only."""
    files = sorted(resource("models").rglob("*.net"))
    return {file.stem: file for file in files if "\nnet " in file.read_text("utf-8")}


def imported(file: Path) -> list[Path]:
    """The files that a shipped model imports, and those that these import."""
    found: list[Path] = []
    for each in _parsed(load_source(file)).declarations:
        if isinstance(each, Import):
            path = file.parent / each.path
            found += [path, *imported(path)]
    return list(dict.fromkeys(found))


@dataclass(frozen=True)
class Start:
    """A starting file: its text, what was changed in it, and what the user must still change."""

    text: str
    changes: tuple[str, ...] = ()
    faults: tuple[Diagnostic, ...] = ()


def fitted(template: Source, target: Path, data: str, *, root: Path | None, download: bool) -> Start:
    """The text of a model for other data. ``target`` is where it will be written: paths are relative to its folder.

    ``data`` is what comes after the word ``data``, or a file or a folder, which is recognized by its content. Sizes
    that the net takes from a literal or from the default of a hyperparameter become those of the data.

    Raises:
        ModelError: E0701 to E0709, the data is unknown or cannot be read; E0608, the model is not trained.
    """
    graph = expand(template)
    said = _said(data, target.parent, graph, _kept(template))
    text, changes = _with_data(template, said), [f"data {said}"]
    source = Source(str(target), text, str(target.resolve()))
    stage, dataset = _loaded(source, root, download)
    edits, fits = _fits(source, expand(source), stage, dataset)
    text = _edited(text, edits)
    source = Source(str(target), text, str(target.resolve()))
    return Start(text, (*changes, *fits), tuple(_faults(source, dataset)))


# ---------------------------------------------------------------------------------------------- what follows `data`


def _kept(template: Source) -> dict[str, list[str]]:
    """The arguments of the model's own data that belong to the net more than to the data, by data set."""
    kept: dict[str, list[str]] = {}
    for setting in _data_settings(_parsed(template)):
        call = setting.values[0]
        if isinstance(call, Call) and isinstance(call.callee, Name):
            wanted = _OF_THE_NET.get(call.callee.name, ())
            kept[call.callee.name] = [each.span.text for each in call.arguments if each.name in wanted]
    return kept


def _said(data: str, home: Path, graph: ModuleGraph, kept: Mapping[str, list[str]]) -> str:
    """The data as it is written after the word ``data``."""
    path = Path(data).expanduser()
    if data in DATA_SETS or not path.exists():
        return data
    name = json.dumps(Path(os.path.relpath(path, home)).as_posix(), ensure_ascii=False)
    ending = path.suffix.lower()
    if path.is_dir():
        return _folder(path, name, graph, kept)
    if "pairs" in kept and ending in (".tsv", ".txt"):
        return _call("pairs", name, kept["pairs"])
    if ending in (".csv", ".tsv"):
        return _table(path, name, graph)
    if ending == ".npz":
        return _call("npz", name)
    if ending == ".txt":
        return _call("text", name, kept.get("text", ()))
    raise ModelError(
        Diagnostic(
            "E0701",
            f"the ending of {path} does not say what data it is",
            notes=("recognized are folders of images or recordings, .csv, .tsv, .npz and .txt",),
            help='write what follows the word data, as in --data \'catalog("a.jsonl", image = "frame")\'',
        )
    )


def _call(word: str, name: str, others: Iterable[str] = ()) -> str:
    return f"{word}({', '.join([name, *others])})"


def _folder(path: Path, name: str, graph: ModuleGraph, kept: Mapping[str, list[str]]) -> str:
    """A folder of images, with the size of the net's images, or one of recordings."""
    files = [each for each in sorted(path.rglob("*")) if each.is_file() and not each.name.startswith(".")]
    pictures = [each for each in files if each.suffix.lower() in PICTURES]
    sounds = [each for each in files if each.suffix.lower() in SOUNDS]
    if pictures and all(each.parent != path for each in pictures):
        shape = next((v.type.shape for v in graph.inputs.values() if v.type.rank == 3), (3, 224, 224))
        size = str(shape[1]) if shape[1] == shape[2] else f"[{shape[1]}, {shape[2]}]"
        own = [f"size = {size}", f"channels = {shape[0] if shape[0] in (1, 3) else 3}"]
        return _call("folder", name, kept.get("folder") or own)
    if sounds and not pictures:
        labelled = all("_" in each.stem for each in sounds)
        return _call("audio", name, [*kept.get("audio", ()), *(['names = "{label}_{rest}"'] if labelled else [])])
    found = "its images are not in folders of their classes" if pictures else "it has no images and no recordings"
    raise ModelError(
        Diagnostic(
            "E0701",
            f"the folder {path} is no data set: {found}",
            help='put images into a folder for each class, or name them in a table: catalog("a.csv", image = "file")',
        )
    )


def _table(path: Path, name: str, graph: ModuleGraph) -> str:
    """A text table. Its column to predict has a telling name, or is the only one that holds no numbers, or the last."""
    separator = "\t" if path.suffix.lower() == ".tsv" else ","
    with path.open(newline="", encoding="utf-8-sig", errors="replace") as file:
        rows = csv.reader(file, delimiter=separator)
        head, first = next(rows, []), next(rows, [])
    if not first:
        raise ModelError(Diagnostic("E0709", f"{path} has no two rows"))
    said = []
    texts = [k for k, cell in enumerate(first) if not is_number(cell.strip())]
    telling = [k for k, cell in enumerate(head) if cell.strip().lower() in _LABELS]
    chosen = (telling or (texts if len(texts) == 1 else []) or [len(head) - 1])[0]
    word = "label" if any(v.type.classes is not None for v in graph.inputs.values()) else "target"
    if all(is_number(cell.strip()) for k, cell in enumerate(head) if k != chosen):
        said += [f"{word} = {chosen}", "header = false"]
    else:
        said.append(f"{word} = {json.dumps(head[chosen].strip(), ensure_ascii=False)}")
    if separator == "\t":
        said.append('separator = "\\t"')
    return _call("csv", name, said)


# ----------------------------------------------------------------------------------------------------- the text


def _with_data(template: Source, said: str) -> str:
    """The text with other data in all its train sections."""
    file = _parsed(template)
    sections = [each for each in file.declarations if isinstance(each, Train)]
    if not sections:
        raise ModelError(
            Diagnostic(
                "E0608",
                f"{Path(template.name).name} has no train section, so it needs no data",
                help="leave --data out",
            )
        )
    edits = {setting.span: f"data {said}" for setting in _data_settings(file)}
    if not edits:
        for section in sections:
            place = section.span.start + section.span.text.index("{") + 1
            edits[Span(template, place, place)] = f"\n    data {said}"
    return _edited(template.text, edits)


def _data_settings(file: File) -> list[Setting]:
    sections = [each for each in file.declarations if isinstance(each, Train)]
    return [setting for section in sections for setting in section.all_settings if setting.word == "data"]


def _edited(text: str, edits: Mapping[Span, str]) -> str:
    for span in sorted(edits, key=lambda each: each.start, reverse=True):
        text = text[: span.start] + edits[span] + text[span.end :]
    return text


def _parsed(source: Source) -> File:
    file, complaints = parse(source)
    if complaints:
        raise ModelError(*complaints)
    return file


# ------------------------------------------------------------------------------------------------- the data's sizes


def _loaded(source: Source, root: Path | None, download: bool) -> tuple[Stage, DataSet]:
    """The data of the last stage, as it is trained."""
    stage = stages(expand(source, training=True))[-1]
    return stage, loader(root=root, download=download)(stage)


def _types(stage: Stage, dataset: DataSet) -> Mapping[str, TensorType]:
    """The fields of the data, after augmentation."""
    try:
        return pipeline(stage.augment, dataset).types(dataset.types)
    except ModelError:  # an augmentation does not fit; that is reported in the end
        return dataset.types


def _fits(source: Source, graph: ModuleGraph, stage: Stage, dataset: DataSet) -> tuple[dict[Span, str], list[str]]:
    """The changes of the text by which inputs become what the data's fields are, and their descriptions."""
    file = _parsed(source)
    net = next(each for each in file.declarations if isinstance(each, Net) and each.name == graph.name)
    fields = _types(stage, dataset)
    declared = {
        each.name: each for each in net.body if isinstance(each, Declare) and each.word == "input" and each.type
    }
    edits: dict[Span, str] = {}
    feeds: list[str] = []
    changes: list[str] = []
    for name, value in graph.inputs.items():
        field = _field_of(name, value.type, graph, stage, fields)
        if field is None or name not in declared:
            continue
        if field != stage.feed.get(name, name):
            feeds.append(f"feed {name} = {field}")
        written = declared[name].type
        assert written is not None
        for expression, old, new in _numbers(written, value.type, _with_classes(fields[field], dataset, field)):
            literal = _literal(expression, net, file)
            if literal is not None and old != new and literal.span not in edits:
                edits[literal.span] = str(new)
                what = expression.name if isinstance(expression, Name) else f"the input {name}"
                changes.append(f"{what}: {new} in place of {old}")
    for setting in _data_settings(file):
        edits[setting.span] = "\n    ".join([setting.span.text, *feeds])
    return edits, changes + feeds


def _field_of(
    name: str, kind: TensorType, graph: ModuleGraph, stage: Stage, fields: Mapping[str, TensorType]
) -> str | None:
    """The field that feeds an input: the one of its name, else the only one of its kind that feeds no other input."""
    field = stage.feed.get(name, name)
    if field in fields:
        return field
    others = {f: given for f, given in fields.items() if f not in graph.inputs and f not in stage.feed.values()}
    if kind.classes is None:
        others = {f: given for f, given in others.items() if given.classes is None}
    alike = [f for f, given in others.items() if given.rank == kind.rank and given.element == kind.element]
    return alike[0] if len(alike) == 1 else None


def _with_classes(kind: TensorType, dataset: DataSet, field: str) -> TensorType:
    """The type of a field; of ints from 0 on, with their number as that of classes."""
    values = dataset.split("train").fields.get(field)
    if kind.element != "int" or kind.classes is not None or not isinstance(values, ArrayField) or not len(values):
        return kind
    low, high = int(values.values.min()), int(values.values.max())
    return kind if low < 0 else replace(kind, classes=high + 1)


def _numbers(
    written: TypeExpression, kind: TensorType, given: TensorType
) -> Iterator[tuple[Expression | Rest, int, int]]:
    """The expressions of a declared type with their values and those of the data."""
    if written.classes is not None and kind.classes is not None and given.classes is not None:
        yield written.classes, kind.classes, given.classes
    if len(written.dimensions) == kind.rank == given.rank:
        yield from zip(written.dimensions, kind.shape, given.shape, strict=True)


def _literal(expression: Expression | Rest, net: Net, file: File) -> Literal | None:
    """The number in the text on which an expression depends: itself, or a default."""
    if isinstance(expression, Name):
        lets = [each for each in file.declarations if isinstance(each, Let)]
        values = [each.default for each in net.hypers if each.name == expression.name]
        values += [each.value for each in lets if each.name == expression.name]
        return values[0] if values and isinstance(values[0], Literal) else None
    return expression if isinstance(expression, Literal) else None


def _faults(source: Source, dataset: DataSet) -> list[Diagnostic]:
    """The errors of the written file, and of the data as its input."""
    try:
        graph = expand(source, training=True)
        for stage in stages(graph):
            inputs = {name: value.type for name, value in graph.inputs.items()}
            spans = {name: value.node.span for name, value in graph.inputs.items()}
            Batches(
                dataset, "train", inputs, batch=stage.batch, training=True, augment=pipeline(stage.augment, dataset),
                feed=stage.feed, spans=spans,
            )  # fmt: skip
    except ModelError as error:
        return list(error.diagnostics)
    return []
