"""Names of classes as numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from graphdl.data.request import DataRequest
from graphdl.data.text_tables import is_number, number, shortened
from graphdl.suggest import enumerated


def classes(texts: Sequence[str]) -> tuple[str, ...]:
    """The distinct classes in sorted order: numerically if all are finite numbers, else as texts."""
    distinct = set(texts)
    if all(map(is_number, distinct)):
        return tuple(sorted(distinct, key=lambda text: (number(text), text)))
    return tuple(sorted(distinct))


def class_numbers(
    request: DataRequest, field: str, names: Sequence[str], texts: Sequence[str], place: Callable[[int], object]
) -> NDArray[np.int32]:
    """The number of the class of each example of a field. ``place`` says where an example is from, for messages.

    Raises:
        ModelError: E0706, a class is none of ``names``.
    """
    numbering = {name: number for number, name in enumerate(names)}
    for row, text in enumerate(texts):
        if text not in numbering:
            raise request.error(
                "E0706",
                f"{place(row)}: class '{shortened(text)}' does not occur in training",
                notes=[f"the classes of '{field}' are: {enumerated(numbering)}"],
            )
    return np.array([numbering[text] for text in texts], np.int32)
