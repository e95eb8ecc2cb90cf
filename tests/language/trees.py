"""Syntax trees in forms that tests can compare and read."""

from dataclasses import fields, is_dataclass

from graphdl.language import syntax
from graphdl.language.parser import parse
from graphdl.source import Source, Span


def tree(text):
    """The declarations of a text that has no errors."""
    file, diagnostics = parse(Source("test.net", text))
    assert diagnostics == []
    return file.declarations


def body(text):
    """The statements of a net's body."""
    (net,) = tree("net test {\n" + text + "\n}")
    return net.body


def plain(node):
    """A node as nested tuples, without its places."""
    if isinstance(node, tuple):
        return tuple(plain(item) for item in node)
    if is_dataclass(node):
        values = (getattr(node, f.name) for f in fields(node) if not f.name.endswith("span"))
        return (type(node).__name__, *(plain(value) for value in values))
    return node


def expression(text):
    """An expression in brackets that show how it is read."""
    (statement,) = body(f"result = {text}")
    return show(statement.value)


def show(node):
    match node:
        case syntax.Literal(value=value):
            words = {"True": "true", "False": "false", "None": "none"}
            return words.get(repr(value), repr(value))
        case syntax.Name(name=name):
            return name
        case syntax.Unary(operator=operator, operand=operand):
            return f"({operator} {show(operand)})"
        case syntax.Binary(operator=operator, left=left, right=right):
            return f"({show(left)} {operator} {show(right)})"
        case syntax.Conditional(condition=condition, then=then, otherwise=otherwise):
            return f"({show(then)} if {show(condition)} else {show(otherwise)})"
        case syntax.Pipe(left=left, right=right):
            return f"({show(left)} -> {show(right)})"
        case syntax.Named(value=value, name=name):
            return f"({show(value)} as {name})"
        case syntax.Argument(name=name, value=value):
            return f"{name}={show(value)}" if name else show(value)
        case syntax.Call(callee=callee, arguments=arguments):
            return f"{show(callee)}({', '.join(map(show, arguments))})"
        case syntax.Slice(start=start, stop=stop, step=step):
            return ":".join("" if part is None else show(part) for part in (start, stop, step))
        case syntax.Index(value=value, items=items):
            return f"{show(value)}[{', '.join(map(show, items))}]"
        case syntax.Attribute(value=value, name=name):
            return f"{show(value)}.{name}"
        case syntax.ListExpression(items=items):
            return f"[{', '.join(map(show, items))}]"
        case syntax.Tuple(items=items):
            return f"<{', '.join(map(show, items))}>"
        case syntax.Comprehension(element=element, names=names, iterable=iterable, condition=condition):
            test = "" if condition is None else f" if {show(condition)}"
            return f"[{show(element)} for {', '.join(names)} in {show(iterable)}{test}]"
        case syntax.Repeat(count=count, body=inner):
            return f"repeat {show(count)} {{{show(inner)}}}"
        case syntax.Scan(bindings=bindings, body=statements):
            return f"scan {', '.join(map(show, bindings))} {{{len(statements)}}}"
        case syntax.ScanSequence(name=name, sequence=sequence):
            return f"{name} in {show(sequence)}"
        case syntax.ScanState(name=name, start=start):
            return f"{name} = {show(start)}"
        case syntax.Rest():
            return ".."
        case syntax.TypeExpression(base=base, classes=classes, dimensions=dimensions):
            number = "" if classes is None else f"({show(classes)})"
            return f"{base}{number}[{', '.join(map(show, dimensions))}]"
    raise AssertionError(f"no expression: {node}")


def spans(node):
    """Every node of a tree with its parent's span."""

    def visit(node, parent):
        if isinstance(node, tuple):
            for item in node:
                yield from visit(item, parent)
        elif is_dataclass(node) and not isinstance(node, Span):
            yield node, parent
            for f in fields(node):
                yield from visit(getattr(node, f.name), node)

    yield from visit(node, None)
