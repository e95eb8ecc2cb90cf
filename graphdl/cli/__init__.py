"""The command line: ``graphdl VERB …``, with one file for each verb.

A verb is a module of this folder with a click command named ``command``, and a line in ``VERBS``. Modules are imported
when their verb is called, so that ``graphdl check`` does not wait for OpenCL.

Exit codes: 0 success; 1 an error of the model or the data; 2 an error of the command line; 3 an error of the device or
the machine. As in a shell, 128 plus the number of a signal that ends it: 130 Ctrl-C, 143 SIGTERM, 129 SIGHUP, and 141
(SIGPIPE) when the reader of standard output is gone.
"""

from __future__ import annotations

import importlib
import io
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, NoReturn

import click

from graphdl import __version__
from graphdl.diagnostics import DeviceError, ModelError

VERBS = {
    "new": "a file to start from: a copy of a shipped model, with your data",
    "check": "say everything that is wrong with some files, and where",
    "fmt": "bring files to the canonical style",
    "show": "the table of a model: modules, shapes, parameters, FLOPs",
    "compile": "compile a model and print the plan, or any stage of it",
    "train": "train the model of a file, or continue a run",
    "eval": "measure a trained model on held-out data",
    "predict": "predict images, arrays or tables with a trained model",
    "generate": "run a trained net free: write, translate, transcribe, make sound",
    "profile": "time a training step or a prediction by kernel, module and line",
    "tune": "measure which forms of the kernels are the fastest on this device, and keep them",
    "picture": "a picture of filters, feature maps, a confusion matrix and others",
    "view": "the interactive page of a model or a run, or a picture for documents",
    "import": "an ONNX model as a file of the language, with its weights",
    "export": "a trained model as an ONNX file",
    "explain": "the long form of a diagnostic's code; a parameter's gradient, path by path",
    "lsp": "the language server, which editors start",
    "devices": "list every OpenCL device, and say which would be used and why",
}

MODULES = {"import": "import_"}
"""The modules of verbs whose names are words of Python."""

_CLOSED = 128 + 13
"""The exit code of a process that SIGPIPE ends. Windows does not have it."""


class _OutputClosedError(Exception):
    """The reader of standard output is gone."""


@contextmanager
def _noticing() -> Iterator[None]:
    """Converts the error of a broken pipe to one that click does not handle itself."""
    try:
        yield
    except BrokenPipeError:
        raise _OutputClosedError from None


class _Verbs(click.Group):
    """A group that has its verbs by name, and imports a verb when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        command = importlib.import_module(f"graphdl.cli.{MODULES.get(cmd_name, cmd_name)}").command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Verbs"):
            formatter.write_dl(list(VERBS.items()))

    def make_context(self, *words: Any, **named: Any) -> click.Context:
        with _noticing():
            return super().make_context(*words, **named)

    def invoke(self, ctx: click.Context) -> Any:
        with _noticing():
            result = super().invoke(ctx)
            if not sys.stdout.closed:  # the language server closes it
                sys.stdout.flush()
        return result

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> NoReturn:
        """Runs a verb, and ends the process with the exit code of its outcome."""
        _open_missing_streams()
        try:
            result = super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
            code = result if isinstance(result, int) else 0
        except BaseException as error:
            code = _complain(error)
        _leave(code)


def _complain(error: BaseException) -> int:
    """Prints an error and returns the exit code. An error of this program is raised again."""
    match error:
        case ModelError():
            from graphdl.rendering import render

            color = sys.stderr.isatty() and not os.environ.get("NO_COLOR")
            _say("\n\n".join(render(diagnostic, color) for diagnostic in error.diagnostics) + "\n")
            return 1
        case click.ClickException():
            from graphdl.rendering import printable_lines

            shown = io.StringIO()
            error.show(shown)
            _say(printable_lines(shown.getvalue()))
            return error.exit_code
        case click.Abort() | KeyboardInterrupt():  # click's exception for Ctrl-C, or a Ctrl-C after click had finished
            with suppress(ValueError):  # not in the main thread
                signal.signal(signal.SIGINT, signal.SIG_DFL)  # a further Ctrl-C ends the remaining work silently
            cause = error.__cause__ if isinstance(error, click.Abort) else error
            return 128 + getattr(cause, "number", int(signal.SIGINT))
        case _OutputClosedError():
            return _CLOSED
        case DeviceError() | MemoryError() | OSError():
            from graphdl.rendering import printable_lines

            code = f"[{error.code}]" if isinstance(error, DeviceError) and error.code else ""
            _say(printable_lines(f"error{code}: {error}" if str(error) else "error: out of memory") + "\n")
            return 3
        case _:
            raise error


def _say(text: str) -> None:
    """Writes to standard error. Errors of writing are ignored."""
    with suppress(OSError):
        click.echo(text, err=True, nl=False)


def _open_missing_streams() -> None:
    """Opens null streams in a process that was started with closed standard streams."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115


def _leave(code: int) -> NoReturn:
    """Ends the process. The interpreter must not try again to write output that cannot be written."""
    for stream in (sys.stdout, sys.stderr):
        try:
            if not stream.closed:
                stream.flush()
        except OSError:
            code = code or 3
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    sys.exit(code)


@click.group(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="graphdl")
def main() -> None:
    """Checks, compiles, trains and explains models that are written as .net files."""
