"""A process that compiles a ``Task`` from standard input together with the process that has started it, and ends."""

from __future__ import annotations

import os
import pickle
import sys

from graphdl.runtime.claims import Claims
from graphdl.runtime.devices import open_device
from graphdl.runtime.drivers.pocl import leave_unlisted
from graphdl.runtime.trials import Task, compile_packs


def main() -> None:
    """Compiles the task on standard input, as long as its parent lives."""
    try:
        task: Task = pickle.load(sys.stdin.buffer)
        compile_packs(task, open_device(task.device), Claims(task.claims), lambda: os.getppid() == task.parent)
    finally:
        leave_unlisted()
