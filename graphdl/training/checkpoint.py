"""Checkpoints: safetensors files with the variables of a net and, to resume a run, the state of its training."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from graphdl import strict_json
from graphdl.diagnostics import Diagnostic, ModelError
from graphdl.language.expansion.context import visible
from graphdl.suggest import did_you_mean
from graphdl.training.network import Network

FORMAT = 2
"""The version of the format that is written. Files of later versions are refused. Version 1 had no checksum."""
PART = ".part"
"""The suffix of files that are being written."""
_KEY = "graphdl"
_SEAL = re.compile(rb'sha256\\": \\"([0-9a-f]{64})\\"')
"""The checksum in the header's JSON: the SHA-256 of the file with zeros in place of the checksum."""
_ZEROS = "0" * 64
_MOST_NAMED = 8


@dataclass(frozen=True)
class Checkpoint:
    """Arrays by variable name, and metadata."""

    tensors: Mapping[str, np.ndarray]
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """JSON values: ``net`` (its name), ``seed``, in a run folder ``run``, and the fields of ``schema.Resumption``."""


def save(path: Path, checkpoint: Checkpoint) -> None:
    """Writes a checkpoint atomically: at any moment the file is either the complete old one or the complete new one.

    Raises:
        OSError: the folder cannot be written, or the disk is full.
    """
    from safetensors.numpy import save as serialize

    # The metadata is one key, because the library writes several in a random order.
    text = strict_json.encode({**checkpoint.metadata, "format": FORMAT, "sha256": _ZEROS}, sort_keys=True)
    write_atomically(path, *_sealed(serialize(dict(checkpoint.tensors), metadata={_KEY: text})))


def write_atomically(path: Path, *content: bytes | memoryview) -> None:
    """Replaces a file atomically by the concatenation of some pieces.

    A reader finds the old content or the new, even after a power failure.
    """
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=PART)
    try:
        with os.fdopen(descriptor, "wb") as file:
            for piece in content:
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    if os.name == "posix":
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def load(path: Path) -> Checkpoint:
    """Reads a checkpoint, or any safetensors file of floats. A file written by another program needs no checksum.

    Raises:
        ModelError: E0616, the file is missing, damaged, or of another kind.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as file:
            texts = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        metadata = strict_json.decode(texts.get(_KEY, "{}"))
        if not isinstance(metadata, dict):
            raise ValueError("its metadata is no object")
    except OSError as error:
        raise _unreadable(path, f"cannot be read ({error.strerror or error})") from error
    except (SafetensorError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise _unreadable(path, f"is no intact checkpoint ({error})") from error
    version = metadata.pop("format", 1)
    if not isinstance(version, int) or version > FORMAT:
        raise _unreadable(path, f"was written by a later graphdl (format {version}; this one reads {FORMAT})")
    checksum = metadata.pop("sha256", None)
    if not _is_intact(path, checked=checksum is not None or version == FORMAT):
        raise _unreadable(path, "is no intact checkpoint (its checksum does not fit what it holds)")
    return Checkpoint(tensors, metadata)


def _sealed(content: bytes) -> tuple[bytes | memoryview, ...]:
    """The pieces of a file, with the checksum in the place reserved for it."""
    found = _SEAL.search(content, 8, 8 + int.from_bytes(content[:8], "little"))
    assert found is not None, "a checkpoint's header has a place for its checksum"
    whole = memoryview(content)
    return whole[: found.start(1)], sha256(content).hexdigest().encode(), whole[found.end(1) :]


def _is_intact(path: Path, *, checked: bool) -> bool:
    """Whether a safetensors file matches its checksum. ``checked``: whether it must have one."""
    with path.open("rb") as file:
        length = file.read(8)
        header = file.read(int.from_bytes(length, "little"))
        found = _SEAL.search(header)
        if found is None:
            return not checked
        digest = sha256(length + header[: found.start(1)] + _ZEROS.encode() + header[found.end(1) :])
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest().encode() == found[1]


def assign(network: Network, checkpoint: Checkpoint, path: Path, *, is_others: bool = False) -> None:
    """Sets a net's parameters and states to the values of a checkpoint. ``path`` is for messages.

    Nothing is changed unless all of them fit. If the checkpoint ``is_others``, which is of another net of the file, it
    may have variables that the net does not have.

    Raises:
        ModelError: E0617, a variable is missing, unexpected or of another shape. All errors are collected.
    """
    variables = network.variables
    # Names with a colon belong to an optimizer.
    given = {name: array for name, array in checkpoint.tensors.items() if ":" not in name}
    missing = [name for name in variables if name not in given]
    others = [name for name in given if name not in variables]
    unexpected = [] if is_others else others
    complaints = []
    for name in missing[:_MOST_NAMED]:
        complaints.append(
            Diagnostic(
                "E0617",
                f"{path} has no '{name}' {variables[name].type}",
                visible(variables[name].value),
                help=did_you_mean(name, others),
            )
        )
    for name in unexpected[:_MOST_NAMED]:
        complaints.append(
            Diagnostic(
                "E0617",
                f"{path} holds '{name}' {list(given[name].shape)}, which the net does not have",
                help=did_you_mean(name, missing),
            )
        )
    for kind, names in (("more are missing", missing), ("more are not the net's", unexpected)):
        if len(names) > _MOST_NAMED:
            complaints.append(Diagnostic("E0617", f"{path}: {len(names) - _MOST_NAMED} {kind}"))
    for name, variable in variables.items():
        if name in given and given[name].shape != variable.type.shape:
            complaints.append(
                Diagnostic(
                    "E0617",
                    f"'{name}' is {variable.type}, and {list(given[name].shape)} in {path}",
                    visible(variable.value),
                    label=f"declared {variable.type}",
                )
            )
        elif name in given and given[name].dtype.kind != "f":
            complaints.append(Diagnostic("E0617", f"'{name}' holds {given[name].dtype} in {path}, expected floats"))
    if complaints:
        raise ModelError(*complaints)
    for name in variables:
        network.write(name, given[name])


def weights(network: Network) -> Checkpoint:
    """The parameters and states of a net as a checkpoint."""
    tensors = {path: network.read(path) for path in network.variables}
    return Checkpoint(tensors, {"net": network.inference.name, "seed": network.seed})


def _unreadable(path: Path, reason: str) -> ModelError:
    return ModelError(Diagnostic("E0616", f"{path} {reason}"))
