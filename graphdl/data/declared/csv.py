"""The user's text tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from graphdl.data import arguments
from graphdl.data.arguments import alone, at_least, fraction, one_of
from graphdl.data.declared.loader import Loader
from graphdl.settings import SettingCall

if TYPE_CHECKING:
    from graphdl.data.dataset import DataSet
    from graphdl.data.request import DataRequest
    from graphdl.data.vocabulary import Unit


def csv(
    call: SettingCall,
    file: str,
    label: str | int | None = None,
    target: str | int | None = None,
    columns: list[str] | list[int] | None = None,
    header: bool = True,
    separator: str = ",",
    test: float | str = 0.2,
    *,
    text: str | int | None = None,
    unit: str = "word",
    length: int | None = None,
    vocabulary: int | None = None,
    lower: bool = False,
    tokenizer: str | None = None,
    buckets: list[int] | None = None,
) -> Loader:
    """A text table: ``x`` [n] from its numeric columns, and from one more column ``label`` class(k) or ``target`` [].

    ``label`` names the column of classes. Classes are numbered in sorted order (numerically if all are numbers).
    ``target`` names a column of numbers to predict. ``columns`` are those of ``x``, by default all others. Without a
    ``header``, columns are counted from 0 (negative: from the end). ``test`` is the fraction of the rows in the test
    split (fixed, and stratified by class if there is a label), or a second file. The file is UTF-8 with double quotes.
    A run stores the names of the columns of ``x``, and later predictions and measurements match columns by name.
    ``text`` names a column of texts: then ``text`` is class(v)[length], with ``text_length`` and ``text_mask``, and
    there is no ``x`` unless ``columns`` says so. ``unit``, ``vocabulary``, ``lower``, ``tokenizer`` and ``buckets`` are
    those of ``pairs``; longer texts than ``length`` are cut. ``group`` can name any column.
    """
    if len(separator) != 1 or separator in '"\r\n':
        raise call.error(
            "E0703", "'separator' of 'csv' must be one character, no quote and no end of line", argument="separator"
        )
    if not isinstance(test, str):
        fraction(call, "test", test)

    one_of(call, "unit", unit, ("char", "word"))
    at_least(call, "length", 1 if length is None else length, 1)
    at_least(call, "vocabulary", 3 if vocabulary is None else vocabulary, 3)
    if tokenizer is not None:
        alone(call, "tokenizer", ("unit", "vocabulary", "lower"))
    if text is None:
        for name in ("unit", "length", "vocabulary", "lower", "tokenizer", "buckets"):
            if name in call.setting.keywords:
                raise call.error("E0702", f"'{name}' of 'csv' is about a column of texts: name it", argument=name)

    lengths = arguments.buckets(call, buckets, length)

    def load(request: DataRequest) -> DataSet:
        from graphdl.data.tables import Written, csv

        kind: Unit = "piece" if tokenizer is not None else cast("Unit", unit)
        written = None if text is None else Written(text, kind, length, vocabulary, lower, tokenizer, lengths)
        return csv(request, file, label, target, columns, header, separator, test, written)

    return load
