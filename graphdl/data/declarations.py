"""What ``data`` and ``augment`` may name in a train section: data sets and augmentations, with their arguments.

Each is a function of the setting and of the user's arguments. It checks what can be said without the data, and
returns what does the work. Nothing heavy is imported before that is called: ``graphdl check`` reads settings, too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from graphdl.data.reading import LIMIT
from graphdl.settings import Call, bind, fits, written
from graphdl.suggest import did_you_mean

if TYPE_CHECKING:
    from graphdl.data.augment import Place, Step
    from graphdl.data.dataset import DataSet
    from graphdl.data.request import Request
    from graphdl.graph.train import Setting


class Loader(Protocol):
    """Reads a data set."""

    def __call__(self, request: Request) -> DataSet: ...


class Maker(Protocol):
    """Makes an augmentation's step for each field that it concerns."""

    def __call__(self, place: Place) -> dict[str, Step]: ...


# ------------------------------------------------------------------------------------------------------- data sets


def cifar10(call: Call) -> Loader:
    """Photographs: ``image`` [3, 32, 32] from 0 to 1, ``label`` class(10); officially 50,000 and 10,000 examples.

    The five training files may hold fewer records than the official 10,000 each.
    """

    def load(request: Request) -> DataSet:
        from graphdl.data.cifar import cifar10

        return cifar10(request)

    return load


def csv(
    call: Call,
    file: str,
    label: str | int | None = None,
    target: str | int | None = None,
    columns: list[str] | list[int] | None = None,
    header: bool = True,
    separator: str = ",",
    test: float | str = 0.2,
) -> Loader:
    """A text table: ``x`` [n] of its numeric columns, and ``label`` class(k) or ``target`` [] of one more.

    ``label`` names the column of classes, which are numbered in their sorted order (as numbers if all are);
    ``target`` names a column of numbers to predict. ``columns`` are those of ``x``: all others if left out. Without
    a ``header`` columns are counted from 0 (negative: from the end). ``test`` is the fraction of the rows for the
    test split (fixed, by class where there is a label), or a second file. The file is UTF-8; quotes are double ones.
    A run keeps the names of the columns of ``x``: what it predicts or measures later is matched to them.
    """
    if len(separator) != 1 or separator in '"\r\n':
        raise call.error(
            "E0703", "'separator' of 'csv' must be one character, no quote and no end of line", argument="separator"
        )
    if not isinstance(test, str):
        _fraction(call, "test", test)

    def load(request: Request) -> DataSet:
        from graphdl.data.tables import csv

        return csv(request, file, label, target, columns, header, separator, test)

    return load


def digits(call: Call) -> Loader:
    """Small handwritten digits: ``image`` [1, 8, 8] from 0 to 1, ``label`` class(10).

    The 1,797 examples of scikit-learn's ``load_digits`` (the test part of Alpaydin and Kaynak's set, 1998). A fixed
    fifth of each class, 359 examples in all, is the test split.
    """

    def load(request: Request) -> DataSet:
        from graphdl.data.bundled import digits

        return digits(request)

    return load


def fashion_mnist(call: Call) -> Loader:
    """Clothes: ``image`` [1, 28, 28] from 0 to 1, ``label`` class(10); 60,000 and 10,000 examples."""

    def load(request: Request) -> DataSet:
        from graphdl.data.idx import fashion_mnist

        return fashion_mnist(request)

    return load


def folder(call: Call, dir: str, size: int | list[int] = 224, channels: int = 3, test: float = 0.2) -> Loader:
    """Images in ``dir/train/CLASS/`` and ``dir/test/CLASS/`` (and ``validation``), or in ``dir/CLASS/`` alone.

    ``image`` is [channels, size, size] from 0 to 1: scaled so that it just covers the size ([height, width], or one
    number for both), then cropped at the centre. Grey of 16 bits goes from 0 to 1 as well, transparent pixels are
    white, pictures are turned as their EXIF data says; floats and 32-bit ints are refused. Hidden files and
    folders are left out. ``label`` numbers the classes in the order of their folders' names.
    Without split folders, a fraction ``test`` is the test split, chosen by the hash of class and file name: an image
    keeps its side when others are added.
    """
    height, width = _two(call, "size", size)
    if channels not in (1, 3):
        raise call.error("E0703", f"'channels' of 'folder' must be 1 or 3, found {channels}", argument="channels")
    _fraction(call, "test", test)

    def load(request: Request) -> DataSet:
        from graphdl.data.folders import folder

        return folder(request, dir, (channels, height, width), test)

    return load


def iris(call: Call) -> Loader:
    """Fisher's irises (1936): ``x`` [4] in centimetres, ``label`` class(3); 120 examples, and 30 for testing.

    The first class is setosa. A fixed fifth of each class is the test split.
    """

    def load(request: Request) -> DataSet:
        from graphdl.data.bundled import iris

        return iris(request)

    return load


def mnist(call: Call) -> Loader:
    """Handwritten digits: ``image`` [1, 28, 28] from 0 to 1, ``label`` class(10); 60,000 and 10,000 examples."""

    def load(request: Request) -> DataSet:
        from graphdl.data.idx import mnist

        return mnist(request)

    return load


def noise(call: Call, shape: list[int], classes: int = 1000, train: int = 256, test: int = 64, seed: int = 0) -> Loader:
    """For timing: random bytes as ``image`` of a shape, from 0 to 1; ``label`` class(classes), each in turn."""
    for name, value in (("classes", classes), ("train", train), ("test", test), *(("shape", size) for size in shape)):
        if value < 1:
            raise call.error("E0703", f"'{name}' of 'noise' must be positive, found {value}", argument=name)

    def load(request: Request) -> DataSet:
        from graphdl.data.bundled import noise

        return noise(request, shape, classes, {"train": train, "test": test}, seed)

    return load


def npz(call: Call, file: str, test: float = 0.2) -> Loader:
    """The arrays of an ``.npz`` file, examples first; each name is a field.

    ``train_x`` and ``test_x`` (or ``x_train`` and ``x_test``, as Keras writes them; likewise ``validation``) are the
    field ``x`` of these splits. If no array names a split, a fixed random fraction ``test`` is the test split. Bytes
    of rank 3 and more, the examples counted, are pixels: they are read as floats from 0 to 1.
    """
    _fraction(call, "test", test)

    def load(request: Request) -> DataSet:
        from graphdl.data.archives import npz

        return npz(request, file, test)

    return load


def table(call: Call, **fields: object) -> Loader:
    """Examples written out: ``table(x = [[0, 0], [0, 1]], label = [0, 1])``; each name is a field.

    The splits ``train`` and ``test`` are both all of them: for truth tables and other functions of few inputs.
    """
    if not fields:
        raise call.error("E0702", "'table' needs a field", help="table(x = [[0, 1], [1, 0]], y = [0, 1])")

    def load(request: Request) -> DataSet:
        from graphdl.data.bundled import table

        return table(request, fields)

    return load


DATA_SETS: Mapping[str, Callable[..., Loader]] = {
    each.__name__: each for each in (cifar10, csv, digits, fashion_mnist, folder, iris, mnist, noise, npz, table)
}
"""From a name after ``data`` to its declaration; the parameters after the first are the arguments that it takes."""


@dataclass(frozen=True)
class Chosen:
    """A data set with its arguments."""

    load: Loader
    validation: float
    """The fraction of the training split to hold out."""
    limit: float
    """The GiB of memory that one file may take."""


def data_set(setting: Setting) -> Chosen:
    """The data set that a setting names.

    Raises:
        ModelError: E0701 to E0703, it is unknown, or its arguments are wrong.
    """
    call = Call(setting)
    declared = _named(call, DATA_SETS, "E0701", "data set")
    arguments = bind(call, declared, extra=("validation", "limit"))
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
    return Chosen(declared(call, **arguments), float(fraction), float(limit))


# --------------------------------------------------------------------------------------------------- augmentations


def color(call: Call, brightness: float = 0.0, contrast: float = 0.0, saturation: float = 0.0) -> Maker:
    """``color(brightness = 0.4, contrast = 0.4, saturation = 0.4)``: random factors in 1 ± amount."""
    for name, amount in (("brightness", brightness), ("contrast", contrast), ("saturation", saturation)):
        if not 0 <= amount <= 1:
            raise call.error("E0703", f"'{name}' of 'color' must be from 0 to 1, found {amount}", argument=name)

    def make(place: Place) -> dict[str, Step]:
        from graphdl.data.augment import color

        return color(place, brightness, contrast, saturation)

    return make


def crop(call: Call, size: int | list[int], pad: int = 0) -> Maker:
    """``crop(32, pad = 4)``: a window at random; outside training, at the centre."""
    height, width = _two(call, "size", size)
    if pad < 0:
        raise call.error("E0703", f"'pad' of 'crop' must not be negative, found {pad}", argument="pad")
    if pad >= min(height, width):
        raise call.error(
            "E0703",
            f"'pad' of 'crop' must be less than the size, found {pad}: a window could miss the image",
            argument="pad",
        )

    def make(place: Place) -> dict[str, Step]:
        from graphdl.data.augment import crop

        return crop(place, height, width, pad)

    return make


def flip(call: Call, p: float = 0.5) -> Maker:
    """``flip``: mirrored left to right with probability ``p``."""
    if not 0 <= p <= 1:
        raise call.error("E0703", f"'p' of 'flip' is a probability, found {p}", argument="p")

    def make(place: Place) -> dict[str, Step]:
        from graphdl.data.augment import flip

        return flip(place, p)

    return make


def normalize(call: Call, mean: float | list[float] | None = None, std: float | list[float] | None = None) -> Maker:
    """``normalize(mean = [...], std = [...])``: by channel of images, else by the last dimension of float fields.

    Without arguments: the data set's published statistics, else those of its training split (a deviation of zero
    counts as one).
    """
    if (mean is None) != (std is None):
        raise call.error("E0702", "'normalize' takes both 'mean' and 'std', or neither")
    given = None if mean is None or std is None else (_each(mean), _each(std))
    if given is not None and min(given[1], default=0.0) <= 0:
        raise call.error("E0703", "'std' of 'normalize' must be positive", argument="std")

    def make(place: Place) -> dict[str, Step]:
        from graphdl.data.augment import normalize

        return normalize(place, given)

    return make


AUGMENTATIONS: Mapping[str, Callable[..., Maker]] = {each.__name__: each for each in (color, crop, flip, normalize)}
"""From a name after ``augment`` to its declaration; the parameters after the first are its arguments."""


def augmentation(setting: Setting) -> Maker:
    """The augmentation that a setting names.

    Raises:
        ModelError: E0702, E0703 or E0710, it is unknown, or its arguments are wrong.
    """
    call = Call(setting)
    declared = _named(call, AUGMENTATIONS, "E0710", "augmentation")
    maker: Maker = declared(call, **bind(call, declared))
    return maker


# ------------------------------------------------------------------------------------------------------- arguments


def _named(call: Call, table: Mapping[str, Callable[..., Any]], code: str, kind: str) -> Callable[..., Any]:
    name = call.setting.name
    if name not in table:
        notes = [f"known: {', '.join(table)}"]
        raise call.error(code, f"unknown {kind} '{name}'", notes=notes, help=did_you_mean(name, table))
    return table[name]


def _fraction(call: Call, name: str, value: float) -> None:
    if not 0 <= value < 1:
        what = f"'{name}' of '{call.setting.name}'"
        raise call.error("E0703", f"{what} must be at least 0 and below 1, found {value}", argument=name)


def _two(call: Call, name: str, value: int | list[int]) -> tuple[int, int]:
    """A height and a width, or one number for both."""
    sizes = [value, value] if isinstance(value, int) else value
    if len(sizes) != 2 or min(sizes) < 1:
        what = f"'{name}' of '{call.setting.name}'"
        raise call.error("E0703", f"{what} must be one or two positive numbers", argument=name)
    return sizes[0], sizes[1]


def _each(value: float | list[float]) -> tuple[float, ...]:
    return tuple(value) if isinstance(value, list | tuple) else (value,)
