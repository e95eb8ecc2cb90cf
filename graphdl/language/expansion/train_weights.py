"""Settings of train sections that name weights of the net, and losses or metrics: patterns of paths, and what follows
them.
"""

from __future__ import annotations

from collections.abc import Iterator

from graphdl.graph.model import ModuleGraph, Variable
from graphdl.graph.train import Best, Start, matches
from graphdl.language import syntax
from graphdl.language.expansion.context import Expansion
from graphdl.language.expansion.faults import Fault, Poisoned
from graphdl.suggest import did_you_mean, enumerated


def may_be_lost(expansion: Expansion) -> bool:
    """Whether the net may lack names because of its own faults. Missing names are not reported then."""
    return not expansion.is_sound or bool(expansion.file.tree.spoilt or expansion.file.lost)


def dotted(written: syntax.Expression) -> str | None:
    """A path as it is written, with dots or as a text; None for anything else."""
    if isinstance(written, syntax.Name):
        return written.name
    if isinstance(written, syntax.Attribute):
        head = dotted(written.value)
        return f"{head}.{written.name}" if head is not None else None
    if isinstance(written, syntax.Literal) and isinstance(written.value, str):
        return written.value
    return None


def pattern(expansion: Expansion, word: str, written: syntax.Expression, *, least_rank: int = 0) -> str:
    """A pattern that matches a parameter with at least ``least_rank`` dimensions."""
    found = dotted(written)
    if found is None:
        raise Fault("E0604", f"'{word}' names parameters, by patterns such as encoder.*", written.span)
    parameters = expansion.graph.parameters
    matched = [path for path in parameters if matches(found, path)]
    if any(parameters[path].type.rank >= least_rank for path in matched) or may_be_lost(expansion):
        return found
    if matched:
        raise Fault(
            "E0604", f"'{word}' is for weights of at least {least_rank} dimensions, and '{found}' matches none",
            written.span, help=f"it matches {matched[0]} {parameters[matched[0]].type}",
        )  # fmt: skip
    raise Fault(
        "E0604", f"no parameter of the net matches '{found}'", written.span,
        help=did_you_mean(found, parameters) or _some_paths(expansion.graph),
    )  # fmt: skip


def _some_paths(graph: ModuleGraph) -> str:
    paths = list(graph.parameters)
    if not paths:
        return "the net has no parameters"
    return "its parameters: " + ", ".join(paths[:6]) + (", …" if len(paths) > 6 else "")


def starts(expansion: Expansion, setting: syntax.Setting) -> tuple[Start, ...]:
    """``start decoder.W = transpose(encoder.W)``, or ``start target = online`` for all variables of two modules."""
    value, transposed = setting.values[0], False
    if isinstance(value, syntax.Call) and len(value.arguments) == 1 and dotted(value.callee) == "transpose":
        value, transposed = value.arguments[0].value, True
    source = dotted(value)
    if source is None or len(setting.patterns) != 1:
        raise Fault(
            "E0606", "'start' is written start path = path or start path = transpose(path)", setting.span
        )  # fmt: skip
    target = str(setting.patterns[0].value)
    if may_be_lost(expansion):
        raise Poisoned
    variables = {**expansion.graph.parameters, **expansion.graph.states}
    targets = _below(variables, target, setting.patterns[0])
    return tuple(_pairs(setting, target, source, transposed, targets, _below(variables, source, value)))


def _below(variables: dict[str, Variable], path: str, written: syntax.Expression) -> dict[str, Variable]:
    """A variable under the name '', or the variables of a module by the rest of their paths."""
    if path in variables:
        return {"": variables[path]}
    found = {name[len(path) :]: each for name, each in variables.items() if name.startswith(f"{path}.")}
    if found:
        return found
    raise Fault(
        "E0604", f"the net has no parameter, state or module '{path}'", written.span,
        help=did_you_mean(path, variables) or f"its variables: {enumerated(variables)}",
    )  # fmt: skip


def _pairs(
    setting: syntax.Setting, target: str, source: str, transposed: bool, targets: dict[str, Variable],
    sources: dict[str, Variable],
) -> Iterator[Start]:  # fmt: skip
    for rest, variable in targets.items():
        if rest not in sources:
            what = f"no '{source}{rest}' for '{target}{rest}'" if "" not in sources else f"'{source}' is one variable"
            raise Fault("E0609", f"'{target}' and '{source}' do not hold the same variables: {what}", setting.span)
        shape, given = variable.type.shape, sources[rest].type.shape
        if transposed:
            if len(given) < 2:
                message = f"'{source}{rest}' is {sources[rest].type}, and only what has two dimensions is transposed"
                raise Fault("E0609", message, setting.span)
            given = (*given[:-2], given[-1], given[-2])
        if shape != given:
            other = f"transpose({source}{rest})" if transposed else f"'{source}{rest}'"
            raise Fault(
                "E0609", f"'{target}{rest}' is {variable.type}, and {other} is {list(given)}", setting.span,
                help="transpose(…) swaps the last two dimensions" if shape[::-1] == given else None,
            )  # fmt: skip
        yield Start(target + rest, source + rest, transposed)


def best(expansion: Expansion, setting: syntax.Setting, written: syntax.Expression) -> Best:
    """``best max(accuracy)`` or ``best min(loss)``."""
    call = written if isinstance(written, syntax.Call) else None
    which = dotted(call.callee) if call is not None else None
    name = dotted(call.arguments[0].value) if call is not None and len(call.arguments) == 1 else None
    if which not in ("min", "max") or name is None:
        raise Fault(
            "E0606", "'best' is written best max(metric) or best min(metric)", written.span,
            help=f"write best max({dotted(written)})" if dotted(written) else None,
        )  # fmt: skip
    known = {**expansion.graph.losses, **expansion.graph.metrics}
    if name not in known:
        if may_be_lost(expansion):
            raise Poisoned
        raise Fault(
            "E0603", f"the net has no loss or metric '{name}'", written.span,
            help=did_you_mean(name, known) or f"it has: {enumerated(known) or 'none'}",
        )  # fmt: skip
    return Best(name, which == "max")
