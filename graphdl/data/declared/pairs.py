"""The user's pairs of lines, for translation."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from graphdl.data import arguments
from graphdl.data.arguments import alone, at_least, fraction, one_of, two
from graphdl.data.declared.loader import Loader
from graphdl.settings import SettingCall

if TYPE_CHECKING:
    from graphdl.data.dataset import DataSet
    from graphdl.data.request import DataRequest
    from graphdl.data.vocabulary import Unit


def pairs(
    call: SettingCall,
    file: str | list[str],
    unit: str = "word",
    length: int | list[int] | None = None,
    vocabulary: int | list[int] | None = None,
    lower: bool = False,
    columns: list[int] | None = None,
    test: float | str | list[str] = 0.1,
    *,
    tokenizer: str | list[str] | None = None,
    buckets: list[int] | None = None,
) -> Loader:
    """Pairs of lines: ``source`` class(v)[S], ``target`` class(w)[T], and ``next``, the target one token ahead.

    ``file`` has a pair on each line, with a tab between the texts (``columns`` are theirs, the first two by default);
    or it is a list of two files, whose lines belong together. ``target`` begins with a mark, and ``next`` ends with
    one. Behind its end each is filled up: ``source_length`` and ``target_length`` are the numbers of tokens (those of
    ``next``), and ``source_mask`` bool[S] and ``target_mask`` bool[T] are true for these. ``length`` is S, T or both,
    by default those of the longest texts; longer pairs are left out, with a warning. ``unit`` and ``lower`` are those
    of ``text``. Both vocabularies are made of the training split; ``vocabulary`` is the greatest number of entries, or
    one for each side. The entries begin with ``<pad>``, ``<unknown>``, and for the target ``<begin>`` and ``<end>``.
    ``test`` is the fraction of the pairs in the test split, or its file or files. A run stores the vocabularies.
    ``tokenizer`` is that of ``text``, or one for each side. ``<pad>``, ``<begin>`` and ``<end>`` follow its tokens,
    unless it has them itself. ``buckets`` are lengths below ``length``, which then is a ``let``: a
    batch in training is only as long as the first of them that holds its examples.
    """
    one_of(call, "unit", unit, ("char", "word"))
    if tokenizer is not None:
        alone(call, "tokenizer", ("unit", "vocabulary", "lower"))
    if isinstance(tokenizer, list) and len(tokenizer) != 2:
        message = f"'tokenizer' of 'pairs' must be one file or two, found {len(tokenizer)}"
        raise call.error("E0703", message, argument="tokenizer")
    tokenizers = [tokenizer, tokenizer] if isinstance(tokenizer, str) else tokenizer or []
    if isinstance(file, list) and len(file) != 2:
        raise call.error("E0703", f"'file' of 'pairs' must be one file or two, found {len(file)}", argument="file")
    if isinstance(test, str | list):
        if isinstance(test, list) and len(test) != 2:
            raise call.error("E0703", f"'test' of 'pairs' must be one file or two, found {len(test)}", argument="test")
    else:
        fraction(call, "test", test)
    lengths = None if length is None else two(call, "length", length)
    if lengths is not None:
        at_least(call, "length", lengths[1], 2)
    most = (None, None) if vocabulary is None else two(call, "vocabulary", vocabulary)
    for count in most:
        at_least(call, "vocabulary", 5 if count is None else count, 5)
    lengths_of_batches = arguments.buckets(call, buckets, length, 2)
    chosen = columns or [0, 1]
    if len(chosen) != 2 or min(chosen) < 0:
        raise call.error("E0703", "'columns' of 'pairs' must be two ints of at least 0", argument="columns")

    def load(request: DataRequest) -> DataSet:
        from graphdl.data.parallel import pairs

        kind: Unit = "piece" if tokenizers else cast("Unit", unit)
        return pairs(
            request, file, kind, lengths, most, lower, (chosen[0], chosen[1]), test, tokenizers, lengths_of_batches
        )

    return load
