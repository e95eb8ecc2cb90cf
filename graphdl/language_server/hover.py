"""Information about the name under the cursor: its shape, its cost, and its documentation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from graphdl.graph.model import Module, ModuleGraph, Node, ScanBody, Value
from graphdl.language import syntax
from graphdl.language.expansion import symbols
from graphdl.language.expansion.nets import walk
from graphdl.language.expansion.symbols import Occurrence, Symbol
from graphdl.language.expansion.values import Applied, Outputs, describe, is_module, text
from graphdl.language_server import signatures
from graphdl.language_server.analysis import Analysis
from graphdl.language_server.cost import flops
from graphdl.source import Span
from graphdl.summary import quantity

_SHOWN = 4
"""The most different shapes or values that are listed."""


def hover(analysis: Analysis, offset: int) -> tuple[Span, str] | None:
    """The span of the name at an offset, and Markdown about it."""
    occurrence = analysis.bindings.at(offset)
    if occurrence is not None:
        return occurrence.span, _of_occurrence(analysis, occurrence)
    for node in reversed(enclosing(analysis, offset)):
        if isinstance(node, syntax.Attribute) and node.name_span.start <= offset <= node.name_span.end:
            values = analysis.values(node.span)
            if values:
                return node.name_span, _code(f"{_flat(node.span.text)} = {_shown(values)}")
    return None


def enclosing(analysis: Analysis, offset: int) -> list[syntax.Syntax]:
    """The syntax nodes around an offset, from the outermost to the innermost."""
    if analysis.file is None:
        return []
    for declaration in analysis.file.tree.declarations:
        if declaration.span.start <= offset <= declaration.span.end:
            return [n for n in walk(declaration) if n.span.start <= offset <= n.span.end]
    return []


def _of_occurrence(analysis: Analysis, occurrence: Occurrence) -> str:
    symbol, span = occurrence.symbol, occurrence.span
    if symbol.kind in (symbols.BLOCK, symbols.NET, symbols.PRIMITIVE, symbols.INITIALIZER, symbols.FUNCTION):
        return _of_callable(analysis, symbol, span)
    if symbol.kind == symbols.IMPORT:
        return _code(_flat(symbol.written.span.text))
    if symbol.kind == symbols.STAGE:
        return _code(f"train {symbol.name}")
    values = analysis.values_of(symbol, span)
    head = _head(symbol, values)
    owner = f" of `{symbol.owner}`" if symbol.owner else ""
    parts = [_code(head), f"{symbol.kind}{owner}"]
    if len(values) > 1:
        parts[1] += ", in turn " + ", ".join(f"`{_value(v)}`" for v in values[:_SHOWN])
        parts[1] += ", …" if len(values) > _SHOWN else ""
    parts += _uses(_modules_of(analysis, symbol))
    documentation = getattr(symbol.written, "documentation", None)
    return "\n\n".join([*parts, *([documentation] if isinstance(documentation, str) else [])])


def _head(symbol: Symbol, values: Sequence[Any]) -> str:
    written = symbol.written
    if isinstance(written, syntax.Declare) and written.word in ("input", "param", "state"):
        declared = _flat(written.span.text)
        if values:
            return f"{declared.partition(':')[0]}: {_value(values[0])}" + _after_type(written)
        return declared
    if values:
        first = _plain(values[0])
        if isinstance(first, Value | Outputs):
            return f"{symbol.name}: {_value(first)}"
        return f"{symbol.name} = {_value(first)}"
    if isinstance(written, syntax.Hyper | syntax.Port | syntax.Let):
        return _flat(written.span.text)
    if isinstance(written, syntax.Assign) and len(_flat(written.span.text)) <= 100:
        return _flat(written.span.text)
    return symbol.name


def _after_type(written: syntax.Declare) -> str:
    return f" = {_flat(written.value.span.text)}" if written.value is not None else ""


def _of_callable(analysis: Analysis, symbol: Symbol, span: Span) -> str:
    signature = signatures.of_symbol(symbol)
    word = f"{symbol.kind} " if symbol.kind in (symbols.BLOCK, symbols.NET) else ""
    parts = [_code(word + (signature.label if signature is not None else symbol.name))]
    graph = analysis.graphs.get(symbol.name) if symbol.span == span else None
    if graph is not None and symbol.kind == symbols.NET:
        parameters = sum(variable.type.size for variable in graph.parameters.values())
        parts.append(_cost(parameters, _operations(graph.nodes, None)))
    else:
        parts += _applied(analysis, span)
    if signature is not None and signature.documentation:
        parts.append(signature.documentation)
    return "\n\n".join(parts)


def _applied(analysis: Analysis, span: Span) -> list[str]:
    """Information about the application of the callee at a span."""
    current: syntax.Syntax | None = None
    for node in reversed(enclosing(analysis, span.start)):
        if current is None:
            current = node if node.span == span or getattr(node, "name_span", None) == span else None
        elif not _wraps(node, current):
            break
        else:
            current = node
        if current is not None:
            modules = analysis.modules_at(current.span)
            if modules:
                return _uses(modules)
            nodes = [n for n in analysis.nodes_at(current.span) if n.operator not in ("constant", "item")]
            if nodes and isinstance(current, syntax.Call | syntax.Name | syntax.Named):
                return [_of_nodes(nodes)]
    return []


def _wraps(outer: syntax.Syntax, inner: syntax.Syntax) -> bool:
    """Whether ``outer`` is the application or the naming of ``inner``."""
    match outer:
        case syntax.Call():
            return outer.callee is inner
        case syntax.Named() | syntax.Assign() | syntax.Attribute():
            return outer.value is inner
    return False


def _modules_of(analysis: Analysis, symbol: Symbol) -> list[tuple[ModuleGraph, Module]]:
    """The modules that ``as`` or an assignment names."""
    written = symbol.written
    if not isinstance(written, syntax.Named | syntax.Assign):
        return []
    found = analysis.modules_at(written.span)
    return [(graph, module) for graph, module in found if module.path.split(".")[-1].startswith(symbol.name)]


def _uses(made: Sequence[tuple[ModuleGraph, Module]]) -> list[str]:
    """The shapes, parameters and operations of the modules made at one place, each combination of shapes once."""
    kinds: dict[str, list[tuple[ModuleGraph, Module]]] = {}
    for graph, module in made:
        kinds.setdefault(_shapes(module.inputs, module.outputs), []).append((graph, module))
    lines = []
    for shapes, group in list(kinds.items())[:_SHOWN]:
        graph, module = group[0]
        parameters = sum(v.type.size for path, v in graph.parameters.items() if path.startswith(f"{module.path}."))
        operations = _operations(graph.nodes, module.applications[-1] if module.applications else (0, 0))
        place = f"`{module.path}`" if len(group) == 1 else f"`{module.path}` and {len(group) - 1} more"
        lines.append(f"- `{shapes}` · {_cost(parameters, operations)} · {place}")
    if len(kinds) > _SHOWN:
        lines.append(f"- and {len(kinds) - _SHOWN} other shapes")
    return ["\n".join(lines)] if lines else []


def _of_nodes(nodes: Sequence[Node]) -> str:
    shapes: dict[str, Node] = {}
    for node in nodes:
        shapes.setdefault(_shapes(node.inputs, node.outputs), node)
    lines = [f"- `{shape}` · {_operations_text(flops(node))}" for shape, node in list(shapes.items())[:_SHOWN]]
    if len(shapes) > _SHOWN:
        lines.append(f"- and {len(shapes) - _SHOWN} other shapes")
    return "\n".join(lines)


def _operations(nodes: Iterable[Node], within: tuple[int, int] | None) -> int:
    """The operations of the nodes whose numbers are within a range; of all nodes if the range is None."""
    total = 0
    for node in nodes:
        body = node.attributes.get("body")
        if within is None or within[0] <= node.id < within[1]:
            total += flops(node)
        elif isinstance(body, ScanBody):
            total += _operations(body.nodes, within)
    return total


def _shapes(inputs: Sequence[Value], outputs: Sequence[Value]) -> str:
    return f"{', '.join(str(v.type) for v in inputs)} -> {', '.join(str(v.type) for v in outputs)}"


def _cost(parameters: int, operations: int) -> str:
    noun = "parameter" if parameters == 1 else "parameters"
    return f"{parameters:,} {noun} · {_operations_text(operations)}"


def _operations_text(count: int) -> str:
    text = quantity(count)
    return f"{text}FLOPs" if text[-1].isalpha() else f"{text} FLOPs"


def _plain(value: Any) -> Any:
    return value.values if isinstance(value, Applied) else value


def _value(value: Any) -> str:
    value = _plain(value)
    if isinstance(value, Outputs):
        return ", ".join(str(v.type) for v in value.values)
    if is_module(value):
        return describe(value)
    return f'"{value}"' if isinstance(value, str) else text(value)


def _shown(values: Sequence[Any]) -> str:
    return ", ".join(map(_value, values[:_SHOWN])) + (", …" if len(values) > _SHOWN else "")


def _code(line: str) -> str:
    return f"```net\n{line}\n```"


def _flat(written: str) -> str:
    return " ".join(written.split())
