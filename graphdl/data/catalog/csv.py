"""The user's text tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphdl.data.arguments import fraction
from graphdl.data.catalog.loader import Loader
from graphdl.settings import SettingCall

if TYPE_CHECKING:
    from graphdl.data.dataset import DataSet
    from graphdl.data.request import DataRequest


def csv(
    call: SettingCall,
    file: str,
    label: str | int | None = None,
    target: str | int | None = None,
    columns: list[str] | list[int] | None = None,
    header: bool = True,
    separator: str = ",",
    test: float | str = 0.2,
) -> Loader:
    """A text table: ``x`` [n] from its numeric columns, and from one more column ``label`` class(k) or ``target`` [].

    ``label`` names the column of classes. Classes are numbered in sorted order (numerically if all are numbers).
    ``target`` names a column of numbers to predict. ``columns`` are those of ``x``, by default all others. Without a
    ``header``, columns are counted from 0 (negative: from the end). ``test`` is the fraction of the rows in the test
    split (fixed, and stratified by class if there is a label), or a second file. The file is UTF-8 with double quotes.
    A run stores the names of the columns of ``x``, and later predictions and measurements match columns by name.
    """
    if len(separator) != 1 or separator in '"\r\n':
        raise call.error(
            "E0703", "'separator' of 'csv' must be one character, no quote and no end of line", argument="separator"
        )
    if not isinstance(test, str):
        fraction(call, "test", test)

    def load(request: DataRequest) -> DataSet:
        from graphdl.data.tables import csv

        return csv(request, file, label, target, columns, header, separator, test)

    return load
