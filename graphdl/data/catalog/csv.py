"""Text tables of the user."""

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
        fraction(call, "test", test)

    def load(request: DataRequest) -> DataSet:
        from graphdl.data.tables import csv

        return csv(request, file, label, target, columns, header, separator, test)

    return load
