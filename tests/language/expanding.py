"""What the tests of expansion share: a text's graph, its shapes and its complaints."""

import math
import textwrap

from graphdl.diagnostics import ModelError
from graphdl.language import Source, check, expand


def source(text, name="model.net"):
    return Source(name, textwrap.dedent(text).lstrip("\n"))


def graph(text, **options):
    """The module graph of a text that must have no errors."""
    try:
        return expand(source(text), **options)
    except ModelError as error:
        raise AssertionError(str(error)) from None


def body(statements, *, inputs="input x: [3, 8, 8]", before="", **options):
    """The graph of a net with these statements; ``x`` is an image unless ``inputs`` says otherwise."""
    indented = textwrap.indent(textwrap.dedent(statements).strip("\n"), "    ")
    text = f"{textwrap.dedent(before)}\nnet tested() {{\n    {inputs}\n{indented}\n}}\n"
    return graph(text, **options)


def faults(text, **options):
    """``code line:column message`` of each error."""
    found = check(source(text), **options)
    return [f"{d.code} {d.span.line}:{d.span.column} {d.message}" for d in found if d.is_error]


def warnings(text, **options):
    found = check(source(text), **options)
    return [f"{d.code} {d.span.line}:{d.span.column} {d.message}" for d in found if not d.is_error]


def shape(graph_, name):
    return list(graph_.outputs[name].type.shape)


def shapes_of(graph_):
    """From each parameter's path to its shape."""
    return {path: list(variable.type.shape) for path, variable in graph_.parameters.items()}


def parameter_count(graph_):
    return sum(math.prod(variable.type.shape) for variable in graph_.parameters.values())


def operators(graph_):
    return [node.operator for node in graph_.nodes]
