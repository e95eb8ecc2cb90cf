"""The user's recordings of sound."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from graphdl.data import arguments
from graphdl.data.arguments import at_least, fraction
from graphdl.data.declared.loader import Loader
from graphdl.settings import SettingCall, written

if TYPE_CHECKING:
    from graphdl.data.dataset import DataSet
    from graphdl.data.request import DataRequest

_PART = re.compile(r"\{([^{}]*)\}")


def audio(
    call: SettingCall,
    dir: str,
    rate: int = 16000,
    length: int | None = None,
    names: str | None = None,
    spelling: list[str] | None = None,
    levels: int | None = None,
    test: float | str = 0.1,
    *,
    buckets: list[int] | None = None,
) -> Loader:
    """Recordings in a folder (WAV, FLAC): ``wave`` [length] from -1 to 1, and what their names tell.

    ``rate`` is in samples a second; recordings of other rates are resampled, and channels become their mean. A
    recording longer than ``length`` is cut, a shorter one is followed by silence; by default ``length`` is the longest
    one's. ``wave_length`` is the number of samples before the silence, ``wave_mask`` bool[length] is true for these.
    ``names`` is the pattern of the files' names, ``"{label}_{speaker}_{index}"``, or with a slash of their paths. Its
    part ``label`` is the field ``label`` class(k); ``group`` can name any other part. ``spelling`` has a text for
    each class: then ``text`` has its letters, with 0 behind their end, and ``text_length`` and ``text_mask`` belong to
    it. With ``levels``, samples are classes by the µ-law, and ``next`` is the wave one sample ahead. ``test`` is the
    fraction in the test split, or a pattern of its files' paths (``"*_[0-4].wav"``). ``buckets`` are those of
    ``pairs``. Needs ``graphdl[audio]``.
    """
    at_least(call, "rate", rate, 1)
    at_least(call, "length", 1 if length is None else length, 1)
    at_least(call, "levels", 2 if levels is None else levels, 2)
    if not isinstance(test, str):
        fraction(call, "test", test)
    parts = _PART.findall(names or "")
    if names is not None and (not parts or not all(map(str.isidentifier, parts)) or len({*parts}) < len(parts)):
        raise call.error(
            "E0703",
            f"'names' of 'audio' must have parts in braces, each with a name of its own, found {written(names)}",
            argument="names",
            help='"{label}_{speaker}_{index}"',
        )
    if spelling is not None and ("label" not in parts or not all(spelling)):
        fault = "texts that are not empty" if "label" in parts else "a pattern 'names' with a part {label}"
        raise call.error("E0703", f"'spelling' of 'audio' needs {fault}", argument="spelling")

    lengths = arguments.buckets(call, buckets, length)

    def load(request: DataRequest) -> DataSet:
        from graphdl.data.recordings import Pattern, audio

        pattern = None
        if names is not None:
            pieces = _PART.split(names)
            texts = [f"(?P<{piece}>[^/]+?)" if odd % 2 else re.escape(piece) for odd, piece in enumerate(pieces)]
            pattern = Pattern(names, re.compile("".join(texts)))
        return audio(request, dir, rate, length, pattern, spelling or (), levels, lengths, test)

    return load
