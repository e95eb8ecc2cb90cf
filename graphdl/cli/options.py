"""Options that several verbs share."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])

FILE = click.Path(dir_okay=False, path_type=Path)
FOLDER = click.Path(file_okay=False, path_type=Path)


def _assignments(ctx: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    settings = {}
    for value in values:
        name, sign, text = value.partition("=")
        if not sign or not name.strip() or not text.strip():
            raise click.BadParameter(f"'{value}' is not name=value", ctx, parameter)
        settings[name.strip()] = text.strip()
    return settings


def model_options(command: Command) -> Command:
    """``--net`` and ``--set``."""
    command = click.option(
        "--set", "settings", metavar="NAME=VALUE", multiple=True, callback=_assignments,
        help="Set a hyperparameter of the net or the file.",
    )(command)  # fmt: skip
    return click.option("--net", metavar="NAME", help="The net of the file to take; the last one by default.")(command)


def device_option(command: Command) -> Command:
    """``--device``."""
    return click.option(
        "--device", metavar="D",
        help="An index, gpu, cpu, gpu:1, or a part of a platform's or device's name; else GRAPHDL_DEVICE.",
    )(command)  # fmt: skip


def _size(ctx: click.Context, parameter: click.Parameter, value: str | None) -> int | None:
    from graphdl.summary import read_size

    return None if value is None else read_size(value)


def memory_option(command: Command) -> Command:
    """``--memory``, in bytes."""
    return click.option(
        "--memory", metavar="LIMIT", callback=_size,
        help="Compute tensors again so that a training step needs at most this memory: 500MB, 1.5GiB.",
    )(command)  # fmt: skip


def data_options(command: Command) -> Command:
    """``--data``, ``--data-root`` and ``--download``."""
    command = click.option("--download", is_flag=True, help="Download official data sets that are missing.")(command)
    command = click.option(
        "--data-root", type=FOLDER, metavar="DIR", help="The folder of data sets; else GRAPHDL_DATA, else a cache."
    )(command)
    return click.option(
        "--data", metavar="TEXT", help='The data, in place of the file\'s: digits, \'csv("a.csv", label = "kind")\'.'
    )(command)


def json_option(command: Command) -> Command:
    """``--json``."""
    return click.option("--json", "as_json", is_flag=True, help="Write JSON.")(command)


def use_color(stream: Any = None) -> bool:
    """Whether to write colours: only to a terminal, and not if ``NO_COLOR`` is set."""
    return (stream or sys.stdout).isatty() and not os.environ.get("NO_COLOR")
