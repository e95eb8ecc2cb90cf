"""The part of ``graphdl explain`` that shows a parameter's gradient as a sum over paths."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from graphdl import strict_json
from graphdl.cli.target import data_of, open_model

if TYPE_CHECKING:
    from graphdl.training.chain import ChainRule, PathGradient

_WIDTH = 100


def explain_parameter(
    target: Path,
    parameter: str,
    *,
    batch: int,
    paths: int,
    data: str | None,
    data_root: Path | None,
    net: str | None,
    settings: Mapping[str, str],
    device: str | None,
    as_json: bool,
) -> str:
    """The chain rule over all paths from a parameter to the losses, as text or JSON."""
    from graphdl.training.chain import chain
    from graphdl.training.samples import sample

    model = open_model(target, net=net, settings=settings, device=device)
    overrides, root, origin = data_of(target, data, data_root)
    taken = sample(model.network, batch, overrides, root=root, origin=origin, known=model.known)
    found = chain(model.network, parameter, taken.arrays, most=paths)
    if as_json:
        return strict_json.encode({"batch": taken.origin, **asdict(found)}, indent=2)
    return _text(found, taken.origin)


def _text(found: ChainRule, batch: str) -> str:
    name = found.parameter
    if found.count == 0:
        return f"No path leads from {name} to a loss: its gradient is zero."
    lines = [
        f"{name} reaches the loss along {_paths(found.count)}. The chain rule multiplies the derivatives of the steps "
        "along each path and adds the paths up:",
        "",
        f"  ∂loss/∂{name} = " + _formula(found),
        "",
        f"Measured on {batch}{'' if len(found.paths) == found.count else f', the {len(found.paths)} strongest'}:",
        "",
    ]
    lines = [part for line in lines for part in (textwrap.wrap(line, _WIDTH, subsequent_indent="  ") or [""])]
    lines.append("     norm of gradient   part of the sum   path")
    common = _common(found.paths)
    for number, path in enumerate(found.paths, 1):
        head = f"{number:>3}  {path.norm:<16.6g}   {path.share:>13.1%}     "
        body = textwrap.wrap(" → ".join(_told(path, common)), _WIDTH - 40, break_long_words=False) or [name]
        lines += [head + body[0], *(" " * len(head) + line for line in body[1:])]
    if len(found.paths) > 1 and common:
        lines.append(f"{' ' * 45}(… stands for steps that these paths share)")
    sum_of = "all paths" if found.count == len(found.paths) else f"all {_paths(found.count)}, gathered step by step,"
    lines += [
        "",
        f"The sum over {sum_of} has the norm {found.sum_norm:.8g}; the gradient that training computes has "
        f"{found.norm:.8g}.",
        f"Their difference has {found.error:.2g} of that.",
    ]
    return "\n".join(lines)


def _paths(count: int) -> str:
    return "one path" if count == 1 else f"{count:,} paths" if count < 10**9 else f"{count:.3g} paths"


def _formula(found: ChainRule) -> str:
    if found.count == 1:
        steps = found.paths[0].steps
        factors = [f"∂{after}/∂{before}" for before, after in zip([found.parameter, *steps], steps, strict=False)]
        return " · ".join(["∂loss/∂" + (steps[-1] if steps else found.parameter), *reversed(factors)])
    return f"Σ over {_paths(found.count)} of Π over the steps of a path of ∂(what the step makes)/∂(what it reads)"


def _common(paths: tuple[PathGradient, ...]) -> set[int]:
    """The tensors that all paths contain, if there are several paths."""
    if len(paths) < 2:
        return set()
    return set.intersection(*(set(path.nodes) for path in paths))


def _told(path: PathGradient, common: set[int]) -> list[str]:
    """The steps of a path. An ellipsis replaces consecutive steps that all paths share."""
    told: list[str] = []
    for step, node in zip(path.steps, path.nodes, strict=True):
        text = "…" if node in common else step
        if text != "…" or told[-1:] != ["…"]:
            told.append(text)
    return [*told, f"loss {path.loss}"]
