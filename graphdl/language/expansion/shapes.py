"""Types in the text: their dimensions are evaluated, bound and checked."""

from __future__ import annotations

from typing import Any

from graphdl.diagnostics import Label
from graphdl.graph.limits import ELEMENTS
from graphdl.graph.model import Value
from graphdl.graph.operator import is_number
from graphdl.graph.types import TensorType
from graphdl.graph.wording import number_text
from graphdl.language import syntax
from graphdl.language.expansion.context import Expansion, visible
from graphdl.language.expansion.faults import Fault
from graphdl.language.expansion.frames import MISSING, Scope
from graphdl.language.expansion.values import describe, plural
from graphdl.source import Span


def concrete(expansion: Expansion, written: syntax.TypeExpression, scope: Scope) -> TensorType:
    """Evaluates a type. Raises Fault if a dimension is not a positive int."""
    dimensions = []
    for dimension in written.dimensions:
        if isinstance(dimension, syntax.Rest):
            raise Fault("E0302", "'..' stands for dimensions only in the ports of a block", dimension.span)
        dimensions.append(dimension_of(expansion, dimension, scope))
    classes = None
    if written.classes is not None:
        classes = dimension_of(expansion, written.classes, scope)
    return TensorType(tuple(dimensions), element_of(written), classes)


def element_of(written: syntax.TypeExpression) -> Any:
    return "int" if written.base == "class" else written.base


def dimension_of(expansion: Expansion, written: syntax.Expression, scope: Scope) -> int:
    value = expansion.evaluate(written, scope)
    return whole_dimension(value, written.span)


def whole_dimension(value: Any, span: Span) -> int:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise Fault("E0302", f"a dimension is an int, not {describe(value)}", span)
    if value % 1 != 0:
        raise Fault("E0302", f"a dimension is an int, not {number_text(value)}", span)
    if value < 1:
        raise Fault("E0302", f"a dimension is at least 1, not {number_text(value)}", span)
    if value > ELEMENTS:
        raise Fault("E0302", f"a dimension of {number_text(float(value))} is too large", span)
    if not isinstance(value, int):
        raise Fault("E0302", f"a dimension is an int, not {value:.1f}", span, help="divide with '//' for an int")
    return value


def match(
    expansion: Expansion,
    port: str,
    written: syntax.TypeExpression,
    value: Value,
    scope: Scope,
    span: Span,
    *,
    owner: str | None,
    binds: bool,
    bound: dict[str, str],
    code: str = "E0411",
) -> None:
    """Checks a tensor against a written type. Unknown names of dimensions are bound.

    ``owner`` is the block's name for messages (None for a declared value). ``bound`` maps each bound name to its port.
    ``code`` is the error code for a wrong dimension.
    """
    found = value.type

    def fault(code: str, detail: str, help: str | None = None) -> Fault:
        labels = []
        made = visible(value)
        if made != span:
            labels.append(Label(made, str(found)))
        if not scope.frame.file.is_library:
            labels.append(Label(written.span, "as declared here"))
        wanted = f"{port}: {' '.join(written.span.text.split())}"
        text = f"{owner} wants {wanted}, and found {found}: {detail}"
        if owner is None:
            text = f"'{port}' is declared as {' '.join(written.span.text.split())}, and is {found}: {detail}"
        label = f"wants {' '.join(written.span.text.split())}" if owner is not None else ""
        return Fault(code, text, span, label=label, labels=labels, help=help)

    element = element_of(written)
    if element != found.element:
        help = None
        if element == "float":
            help = "one_hot(x) or float(x) makes floats of ints"
        raise fault("E0301", f"{found.element} is not {element}", help)
    if written.classes is not None:
        if found.classes is None:
            raise fault("E0301", "how many classes there are is not known")
        _one(
            expansion, written.classes, found.classes, scope, fault, port, binds, bound, "it has {found} classes", code
        )
    pairs = _aligned(written, found, fault)
    late = []
    for axis, (dimension, length) in enumerate(pairs):
        if dimension is None:
            continue
        if isinstance(dimension, syntax.Name) or not binds:
            _one(expansion, dimension, length, scope, fault, port, binds, bound, f"dimension {axis} is {{found}}", code)
        else:
            late.append((axis, dimension, length))
    for axis, dimension, length in late:
        _one(expansion, dimension, length, scope, fault, port, False, bound, f"dimension {axis} is {{found}}", code)


def _aligned(written: syntax.TypeExpression, found: TensorType, fault: Any) -> list[tuple[Any, int]]:
    """Pairs of a written dimension, or None under ``..``, and the length of the tensor's dimension."""
    dimensions = list(written.dimensions)
    rest = [i for i, d in enumerate(dimensions) if isinstance(d, syntax.Rest)]
    if not rest:
        if len(dimensions) != found.rank:
            raise fault("E0410", f"{plural(len(dimensions), 'dimension')}, not {found.rank}")
        return list(zip(dimensions, found.shape, strict=True))
    if len(rest) > 1:
        raise Fault("E0302", "'..' stands once in a type", dimensions[rest[1]].span)
    if len(dimensions) - 1 > found.rank:
        raise fault("E0410", f"{plural(len(dimensions) - 1, 'dimension')} at least, not {found.rank}")
    at = rest[0]
    filler: list[Any] = [None] * (found.rank - len(dimensions) + 1)
    return list(zip([*dimensions[:at], *filler, *dimensions[at + 1 :]], found.shape, strict=True))


def _one(
    expansion: Expansion, dimension: Any, length: int, scope: Scope, fault: Any, port: str, binds: bool,
    bound: dict[str, str], detail: str, code: str,
) -> None:  # fmt: skip
    detail = detail.format(found=length)
    if isinstance(dimension, syntax.Name):
        known = scope.find(dimension.name)
        if known is MISSING and dimension.name not in scope.frame.file.lets and binds:
            scope.names[dimension.name] = length
            bound[dimension.name] = port
            return
        if is_number(known) and known != length:
            source = bound.get(dimension.name)
            if source is not None and source != port:
                raise fault("E0412", f"{detail}, and {dimension.name} is {known} in {source}")
            raise fault(code, f"{detail}, and {dimension.name} is {known}")
        if is_number(known):
            return
    value = whole_dimension(expansion.evaluate(dimension, scope), dimension.span)
    if value != length:
        written = dimension.span.text
        raise fault(code, f"{detail}, not {written}" + (f" = {value}" if written != str(value) else ""))
