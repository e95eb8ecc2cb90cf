"""The command line: ``graphdl VERB …``, a file a verb.

A verb is a module of this folder with a click command named ``command``, and a line in ``VERBS``. Modules are imported
when their verb is called, so that ``graphdl check`` does not wait for OpenCL.

Exit codes: 0 done; 1 the model or the data is at fault; 2 the command's words are off; 3 the device or the machine is
at fault; 130 interrupted.
"""

from __future__ import annotations

import importlib
import io
import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import click

from graphdl import __version__
from graphdl.diagnostics import DeviceError, ModelError

VERBS = {
    "check": "say everything that is wrong with some files, and where",
    "fmt": "bring files to the canonical style",
    "show": "the table of a model: modules, shapes, parameters, FLOPs",
    "compile": "compile a model and print the plan, or any stage of it",
    "train": "train the model of a file, or continue a run",
    "eval": "measure a trained model on held-out data",
    "predict": "predict images, arrays or tables with a trained model",
    "view": "the interactive page of a model or a run, or a picture for documents",
    "explain": "the long form of a diagnostic's code; a parameter's gradient, path by path",
    "lsp": "the language server, which editors start",
    "devices": "list every OpenCL device, and say which would be used and why",
}


class _Verbs(click.Group):
    """A group that knows its verbs by name and imports one when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        command = importlib.import_module(f"graphdl.cli.{cmd_name.replace('-', '_')}").command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Verbs"):
            formatter.write_dl(list(VERBS.items()))

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> NoReturn:
        """Runs a verb and ends the process with the exit code that its outcome has."""
        try:
            result = super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
        except ModelError as error:
            from graphdl.rendering import render

            color = sys.stderr.isatty() and not os.environ.get("NO_COLOR")
            click.echo("\n\n".join(render(diagnostic, color) for diagnostic in error.diagnostics), err=True)
            sys.exit(1)
        except click.ClickException as error:
            from graphdl.rendering import printable_lines

            shown = io.StringIO()
            error.show(shown)
            click.echo(printable_lines(shown.getvalue()), err=True, nl=False)
            sys.exit(error.exit_code)
        except click.Abort:  # click's word for Ctrl-C
            sys.exit(130)
        except (DeviceError, MemoryError, OSError) as error:
            from graphdl.rendering import printable_lines

            code = f"[{error.code}]" if isinstance(error, DeviceError) and error.code else ""
            message = f"error{code}: {error}" if str(error) else "error: out of memory"
            click.echo(printable_lines(message), err=True)
            sys.exit(3)
        sys.exit(result if isinstance(result, int) else 0)


@click.group(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="graphdl")
def main() -> None:
    """Checks, compiles, trains and explains models that are written as .net files."""
