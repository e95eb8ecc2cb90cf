"""The numbers of a Darknet ``.weights`` file, in the order in which the layers read them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from graphdl.diagnostics import Diagnostic, ModelError


class Weights:
    """Reads float32 numbers from a file, after its header: the version, and the number of examples seen in training.

    Without a file, every number is 0.
    """

    def __init__(self, path: Path | None) -> None:
        """
        Raises:
            ModelError: E0904, the file cannot be read or has no header.
        """
        self.path, self.place, self.flipped = path, 0, False
        """``flipped``: matrices are stored with their inputs first, as versions above 1000 do."""
        self._floats = np.zeros(0, np.float32)
        if path is None:
            return
        try:
            data = path.read_bytes()
        except OSError as error:
            raise ModelError(Diagnostic("E0904", f"{path} cannot be read ({error.strerror or error})")) from error
        if len(data) < 16:
            raise ModelError(Diagnostic("E0904", f"{path} is no Darknet weights file: it ends within the header"))
        major, minor, _ = np.frombuffer(data, "<i4", 3).tolist()
        large = major > 1000 or minor > 1000
        header = 12 + (8 if major * 10 + minor >= 2 and not large else 4)
        self.flipped = large
        if len(data) < header or (len(data) - header) % 4:
            raise ModelError(Diagnostic("E0904", f"{path} is no Darknet weights file: its length is {len(data)} bytes"))
        self._floats = np.frombuffer(data, "<f4", offset=header).astype(np.float32)

    def take(self, shape: Sequence[int]) -> np.ndarray:
        """The next numbers. Behind the end of the file they are 0; ``check_end`` says so."""
        count = int(np.prod(shape))
        found = self._floats[self.place : self.place + count]
        self.place += count
        return np.concatenate([found, np.zeros(count - len(found), np.float32)]).reshape(shape)

    def check_end(self) -> None:
        """
        Raises:
            ModelError: E0904, the layers have more or fewer numbers than the file.
        """
        if self.path is not None and self.place != len(self._floats):
            raise ModelError(
                Diagnostic(
                    "E0904",
                    f"{self.path} has {len(self._floats):,} numbers, and the layers of the configuration "
                    f"{self.place:,}",
                )
            )
