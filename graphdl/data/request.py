"""The arguments of a loader: the setting that names a data set, the folders to search, and whether to download."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from graphdl.data.dataset import Split
from graphdl.data.division import Division
from graphdl.data.download import Archive, fetch
from graphdl.data.known import Known
from graphdl.data.published import FILES
from graphdl.data.reading import LIMIT, Reading
from graphdl.diagnostics import ModelError
from graphdl.settings import SettingCall

GET_HELP = (
    "name the folder that has it with --data-root or GRAPHDL_DATA, or let graphdl download it with --download "
    "(from Python: download=True)"
)


def default_root() -> Path:
    """The folder of data sets: ``GRAPHDL_DATA``, else ``graphdl/data`` in the user's cache folder."""
    named = os.environ.get("GRAPHDL_DATA")
    if named:
        return Path(named).expanduser()
    home = Path.home()
    if sys.platform == "win32":
        cache = Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
    elif sys.platform == "darwin":
        cache = home / "Library" / "Caches"
    else:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache")
    return cache / "graphdl" / "data"


@dataclass(frozen=True)
class DataRequest(SettingCall):
    """A request for a data set."""

    root: Path
    splits: tuple[str, ...]
    """The splits that will be used. A loader may leave out the others."""
    download: bool = False
    mirrors: tuple[str, ...] | None = None
    """Base addresses for downloads that replace the archive's own."""
    limit: float = LIMIT
    """The limit of memory for one file, in GiB."""
    validation: float = 0.0
    """The fraction of the training split to hold out. A loader may hold it out itself."""
    division: Division = field(default_factory=Division)
    """The way in which splits are made of one."""
    known: Known = field(default_factory=Known)
    """The facts that a run trained on the data has stored."""

    @property
    def reading(self) -> Reading:
        """The reader for the files of this data set."""
        return Reading(self.setting.span, self.limit)

    def divide(self, split: Split, fraction: float, name: str, stratify: str | None = None) -> tuple[Split, Split]:
        """Divides a split into the rest and a part ``name`` in the way that the setting asks for; see ``Division``."""
        return self.division.divide(self, split, fraction, name, stratify)

    def place(self, path: str, argument: str, is_wanted: Callable[[Path], bool]) -> Path:
        """The location of a file or folder named by the user: beside the model file, else in the data root. A published
        file that is in neither is downloaded into the data root, if the request says so.

        Raises:
            ModelError: E0704, it is in neither; E0708, it could not be downloaded.
        """
        source = self.setting.span.source
        beside = Path(source.path).parent if source.path else Path.cwd()
        candidates = [Path(os.path.normpath(folder / path)) for folder in (beside, self.root)]
        for candidate in candidates:
            if is_wanted(candidate):
                return candidate
        published = FILES.get(path)
        if published is not None and self.download:
            return self.fetch(published, candidates[-1].parent)
        raise self.missing(path, candidates, argument, help="" if published is None else GET_HELP)

    def missing(self, what: str, looked: Sequence[Path], argument: str | None = None, help: str = "") -> ModelError:
        """The error that a file is missing, with all places that were searched."""
        places = list(dict.fromkeys(map(str, looked)))
        return self.error(
            "E0704",
            f"data set '{self.setting.name}': {what} is missing",
            argument=argument,
            notes=[f"looked for {place}" for place in places],
            help=help or "a path is relative to the model file, or to the folder given by --data-root or GRAPHDL_DATA",
        )

    def damaged(self, path: Path, reason: str) -> ModelError:
        """The error that a file is damaged: E0705."""
        return self.reading.damaged(path, reason)

    def read(self, path: Path) -> bytes:
        """The content of a file.

        Raises:
            ModelError: E0705, it cannot be read; E0718, it is too large.
        """
        with self.reading.open(path) as file:
            self.reading.require(file.seek(0, os.SEEK_END), f"{path}: the file")
            file.seek(0)
            return file.read()

    def fetch(self, archive: Archive, folder: Path) -> Path:
        """Downloads an archive into a folder; see ``graphdl.data.download.fetch``."""
        return fetch(archive, folder, mirrors=self.mirrors, span=self.setting.span)
