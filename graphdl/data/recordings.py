"""Folders of sound recordings, decoded on demand by libsndfile.

Sounds of several channels become one, their mean. Sounds of another rate are resampled by a polyphase filter.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil, gcd
from pathlib import Path
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from graphdl.data.classes import class_numbers, classes
from graphdl.data.dataset import Array, Buckets, DataSet, Field, Rows, Sound, Split, labels, stratum
from graphdl.data.division import by_pattern
from graphdl.data.reading import Reading
from graphdl.data.request import DataRequest
from graphdl.data.sequences import Mask, length_of, lines_of, sequences, writings
from graphdl.data.vocabulary import PAD, Writing, vocabulary
from graphdl.graph.types import TensorType
from graphdl.settings import written
from graphdl.suggest import enumerated

SUFFIXES = frozenset({".wav", ".flac"})
_BEYOND = 32
"""The number of samples of the lower rate that the resampling filter needs beyond the last one."""
_HIGHEST_RATE = 768_000
"""The greatest number of samples in a second. Damaged headers promise more."""
_FILTER_BYTES = 1000
"""The memory for the design of a resampling filter, for each step of the greater rate once both are in lowest terms."""


@dataclass(frozen=True)
class Pattern:
    """A pattern of names, such as ``{label}_{speaker}``. One with a slash is for paths, without their suffix."""

    text: str
    compiled: re.Pattern[str]


def _soundfile(reading: Reading, path: Path) -> ModuleType:
    try:
        import soundfile
    except (ImportError, OSError) as error:  # OSError: the package is there, and the library that it calls is not
        cure = 'install it: pip install "graphdl[audio]"'
        raise reading.unreadable(path, f"recordings need the package soundfile ({error})", help=cure) from error
    module: ModuleType = soundfile
    return module


def samples_of(reading: Reading, path: Path, rate: int) -> int:
    """The number of samples of a recording at a rate, from its header.

    Raises:
        ModelError: E0704 or E0705, the file is missing or no recording.
    """
    soundfile = _soundfile(reading, path)
    with reading.open(path) as file:
        try:
            with soundfile.SoundFile(file) as sound:
                frames: int = sound.frames
                return ceil(frames * rate / _rate(reading, path, sound.samplerate))
        except soundfile.LibsndfileError as error:
            raise reading.damaged(path, f"it is no recording that can be decoded ({error})") from error


def _rate(reading: Reading, path: Path, rate: int) -> int:
    if not 1 <= rate <= _HIGHEST_RATE:
        raise reading.damaged(path, f"its header says that it has {rate} samples in a second")
    return rate


def decode(reading: Reading, path: Path, rate: int, count: int) -> NDArray[np.float32]:
    """The first ``count`` samples of a recording at a rate, from -1 to 1, or all of them if they are fewer.

    Raises:
        ModelError: E0704 or E0705, the file is missing or damaged; E0718, it takes too much memory.
    """
    soundfile = _soundfile(reading, path)
    with reading.open(path) as file:
        try:
            with soundfile.SoundFile(file) as sound:
                own = _rate(reading, path, sound.samplerate)
                needed = count if own == rate else ceil(count * own / rate + _BEYOND * max(1, own / rate))
                needed = min(needed, sound.frames)
                reading.require(4 * needed * sound.channels, f"{path}: a recording of {needed} samples")
                values: NDArray[np.float32] = sound.read(needed, dtype="float32", always_2d=True).mean(axis=1)
        except soundfile.LibsndfileError as error:
            raise reading.damaged(path, f"it is no recording that can be decoded ({error})") from error
    if len(values) < needed:
        raise reading.damaged(path, f"it ends after {len(values)} of the {needed} samples that its header promises")
    if own != rate:
        from scipy.signal import resample_poly

        common = gcd(own, rate)
        what = f"{path}: the filter from {own} to {rate} samples a second"
        reading.require(_FILTER_BYTES * max(own, rate) // common, what)
        values = resample_poly(values, rate // common, own // common).astype(np.float32)
    return values[:count]


def heard(reading: Reading, paths: Sequence[Path], sound: Sound) -> Array:
    """The wave of each recording as ``sound`` describes it, followed by silence if it is shorter than its length."""
    first = int(sound.gives == "next")
    waves = np.zeros((len(paths), sound.length), np.float32)
    for wave, path in zip(waves, paths, strict=True):
        values = decode(reading, path, sound.rate, first + sound.length)[first:]
        wave[: len(values)] = values
    return waves if sound.levels is None else quantized(waves, sound.levels)


def predicted(reading: Reading, path: Path, sound: Sound) -> Array:
    """What ``sound`` describes, of one recording."""
    if sound.gives in ("wave", "next"):
        wave: Array = heard(reading, [path], sound)[0]
        return wave
    count = min(samples_of(reading, path, sound.rate), sound.length)
    return np.array(count, np.int32) if sound.gives == "length" else np.arange(sound.length) < count


def quantized(waves: NDArray[np.float32], levels: int) -> NDArray[np.int32]:
    """The loudness by the µ-law (ITU-T G.711) as numbers from 0 to ``levels`` - 1."""
    top = levels - 1
    curve: NDArray[np.float32] = np.sign(waves) * np.log1p(top * np.minimum(np.abs(waves), 1)) / np.log1p(top)
    return np.floor((curve + 1) / 2 * top + 0.5).astype(np.int32)


def loudness(numbers: NDArray[np.int32], levels: int) -> NDArray[np.float64]:
    """The samples from -1 to 1 of which ``quantized`` makes these numbers."""
    top = levels - 1
    curve = 2 * numbers / top - 1
    result: NDArray[np.float64] = np.sign(curve) * np.expm1(np.abs(curve) * np.log1p(top)) / top
    return result


@dataclass(frozen=True, eq=False)
class Recordings(Field):
    """Sounds on disk, decoded when they are taken."""

    paths: Sequence[Path]
    sound: Sound
    reading: Reading

    @property
    def type(self) -> TensorType:  # type: ignore[override]
        shape = (self.sound.length,)
        return TensorType(shape) if self.sound.levels is None else TensorType(shape, "int", self.sound.levels)

    def __len__(self) -> int:
        return len(self.paths)

    def take(self, rows: Rows) -> Array:
        return heard(self.reading, [self.paths[row] for row in rows], self.sound)

    def select(self, rows: Rows) -> Recordings:
        return replace(self, paths=[self.paths[row] for row in rows])

    def place(self, row: int) -> str | None:
        return str(self.paths[row])


def audio(
    request: DataRequest,
    dir: str,
    rate: int,
    length: int | None,
    name: Pattern | None,
    spelling: Sequence[str],
    levels: int | None,
    buckets: Buckets | None,
    test: float | str,
) -> DataSet:
    """See ``graphdl.data.declared``."""
    home = request.place(dir, "dir", Path.is_dir)
    paths = sorted(path for path in home.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    paths = [path for path in paths if not any(part.startswith(".") for part in path.relative_to(home).parts)]
    if not paths:
        raise request.error("E0704", f"{home} has no recordings (.wav or .flac)", argument="dir")
    lengths = np.array([samples_of(request.reading, path, rate) for path in paths], np.intp)
    if not lengths.all():
        raise request.damaged(paths[int(lengths.argmin())], "it holds no samples")
    sound = Sound(rate, length or int(lengths.max()), levels=levels)
    request.reading.require(4 * sound.length, f"a recording of {sound.length} samples")
    lengths = np.minimum(lengths, sound.length)
    sounds = {"wave": sound, "wave_length": replace(sound, gives="length"), "wave_mask": replace(sound, gives="mask")}
    fields: dict[str, Field] = {
        "wave": Recordings(paths, sound, request.reading),
        "wave_length": length_of(lengths),
        "wave_mask": Mask(lengths, TensorType((sound.length,), "bool")),
    }
    if levels is not None:
        sounds["next"] = replace(sound, gives="next")
        fields["next"] = Recordings(paths, sounds["next"], request.reading)
    properties = _properties(request, home, paths, name)
    texts = properties.pop("label", None)
    class_names: dict[str, tuple[str, ...]] = {}
    ways: dict[str, Writing] = {}
    if texts is not None:
        numbers = _numbered(request, paths, texts, class_names)
        fields["label"] = labels(numbers, len(class_names["label"]))
        if spelling:
            spelled, ways = _spelled(request, class_names, spelling)
            fields |= {key: field.select(numbers.astype(np.intp)) for key, field in spelled.items()}
    whole = Split("train", fields, {part: np.array(values) for part, values in properties.items()}, lengths)
    splits = {"train": whole}
    if isinstance(test, str):
        listed = [path.relative_to(home).as_posix() for path in paths]
        splits = by_pattern(request, whole, test, listed, "recording", home)
    elif test:
        splits["train"], splits["test"] = request.divide(whole, test, "test", stratum(whole))
    if texts is not None:
        _check(request, splits, class_names["label"])
    return DataSet(
        home.name,
        splits,
        class_names,
        writings=ways,
        sounds=sounds,
        buckets=buckets,
        span=request.setting.span,
        files=[home],
    )


def _properties(request: DataRequest, home: Path, paths: Sequence[Path], name: Pattern | None) -> dict[str, list[str]]:
    """The parts of the recordings' names that the pattern tells apart, by the name of the part."""
    found: dict[str, list[str]] = {}
    if name is None:
        return found
    for path in paths:
        text = path.relative_to(home).with_suffix("").as_posix() if "/" in name.text else path.stem
        match = name.compiled.fullmatch(text)
        if match is None:
            raise request.error(
                "E0707",
                f"{path}: '{text}' does not match the pattern {written(name.text)}",
                argument="names",
                help="each {part} of the pattern stands for one or more characters, but no slash",
            )
        for part, value in match.groupdict().items():
            found.setdefault(part, []).append(value)
    return found


def _numbered(
    request: DataRequest, paths: Sequence[Path], texts: Sequence[str], class_names: dict[str, tuple[str, ...]]
) -> NDArray[np.int32]:
    """The class of each recording. Adds the names of the classes to ``class_names``."""
    names = class_names["label"] = tuple(request.known.class_names.get("label") or classes(texts))
    return class_numbers(request, "label", names, texts, lambda row: paths[row])


def _spelled(
    request: DataRequest, class_names: dict[str, tuple[str, ...]], spelling: Sequence[str]
) -> tuple[dict[str, Field], dict[str, Writing]]:
    """The fields of the classes' texts, with an example for each class. Adds the names of the letters."""
    names = class_names["label"]
    if len(spelling) != len(names):
        raise request.error(
            "E0703",
            f"'spelling' of 'audio' has {len(spelling)} texts for {len(names)} classes",
            argument="spelling",
            notes=[f"the classes are: {enumerated(names)}"],
        )
    lines = lines_of(spelling, "char", lower=False)
    entries = vocabulary(lines.tokens.kinds, lines.counts(np.arange(len(names))), "char", None, (PAD,))
    class_names["text"] = entries.names
    ways = writings("text", Writing("text", "char", False, "tokens", int(lines.lengths.max())))
    return {key: sequences(lines, entries, way) for key, way in ways.items()}, ways


def _check(request: DataRequest, splits: Mapping[str, Split], names: Sequence[str]) -> None:
    """Checks that every class occurs in training, unless the classes are those of a run."""
    trained = splits["train"].fields["label"]
    occurring = set(trained.take(np.arange(len(trained))).tolist())
    lacking = [name for number, name in enumerate(names) if number not in occurring]
    if lacking and not request.known.class_names.get("label"):
        raise request.error("E0706", f"class '{lacking[0]}' occurs in no recording of the training split")
