"""``graphdl explain``: the long form of a diagnostic's code."""

from __future__ import annotations

import click


@click.command("explain")
@click.argument("code")
def command(code: str) -> None:
    """Explains the CODE of a diagnostic, such as E0401: what it means, and how to mend it."""
    from graphdl.language.codes import catalogue, explanation
    from graphdl.settings import nearest

    found = explanation(code)
    if found is None:
        hint = nearest(code.upper(), list(catalogue()))
        raise click.BadParameter(f"there is no code '{code}'" + (f"; {hint}" if hint else ""), param_hint="CODE")
    click.echo(f"{found.code}: {found.title}\n\n{found.text}")
