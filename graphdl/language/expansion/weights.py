"""``a.W``: the parameters and states of a named module as values, for tied weights."""

from __future__ import annotations

from graphdl.graph.builder import join
from graphdl.graph.model import Value
from graphdl.language import syntax
from graphdl.language.expansion.context import Expansion
from graphdl.language.expansion.faults import Fault
from graphdl.language.expansion.frames import Scope
from graphdl.language.expansion.values import Applied, Instance
from graphdl.suggest import did_you_mean, enumerated


def of_module(expansion: Expansion, expression: syntax.Attribute, scope: Scope) -> Value | None:
    """The parameter or state that ``module.path`` names; None if the expression is another attribute.

    Raises:
        Fault: E0215, the module has no such variable, or none yet.
    """
    names, head = [expression.name], expression.value
    while isinstance(head, syntax.Attribute):
        names.insert(0, head.name)
        head = head.value
    held = scope.find(head.name) if isinstance(head, syntax.Name) else None
    module = held.module if isinstance(held, Applied) else held
    while isinstance(module, Instance) and isinstance(module.module, Instance):
        module = module.module
    if not isinstance(module, Instance):
        return None
    parameters, states = expansion.graph.parameters, expansion.graph.states
    path = join(module.made.path, ".".join(names)) if module.made is not None else ""
    found = parameters.get(path) or states.get(path)
    if found is not None:
        return found.value
    outer = path.rpartition(".")[0]
    if isinstance(held, Applied) or outer in parameters or outer in states:
        return None  # an attribute of a tensor: x.shape, a.W.shape
    name = module.name
    if module.made is None:
        raise Fault(
            "E0215", f"'{name}' has no parameters yet: its first use makes them", expression.span,
            help=f"apply it above: x -> {name}",
        )  # fmt: skip
    start = f"{module.made.path}."
    below = [each.removeprefix(start) for each in (*parameters, *states) if each.startswith(start)]
    raise Fault(
        "E0215", f"'{name}' has no parameter or state '{'.'.join(names)}'", expression.name_span,
        help=did_you_mean(".".join(names), below) or (f"it has {enumerated(below)}" if below else None),
    )  # fmt: skip
