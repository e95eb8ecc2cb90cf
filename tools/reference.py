"""Writes docs/layers.md and the tables of docs/language.md from what the language knows: python tools/reference.py

A table stands between ``<!-- table: NAME -->`` and ``<!-- end -->``. A test checks that all are current.
"""

from __future__ import annotations

import inspect
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from graphdl.data.augmentations import AUGMENTATIONS
from graphdl.data.declared import DATA_SETS
from graphdl.graph import limits as graph_limits
from graphdl.language import lexer, parser, syntax
from graphdl.language.expansion import limits
from graphdl.language.expansion.arithmetic import PRIMITIVE_OF
from graphdl.language.expansion.files import LIBRARY, library_file
from graphdl.language.expansion.meaning import HIDDEN
from graphdl.operators import PRIMITIVES, Primitive
from graphdl.operators.initializers import INITIALIZERS
from graphdl.operators.primitive import CATEGORIES, REQUIRED
from graphdl.settings import written
from graphdl.training.optimizers import OPTIMIZERS
from graphdl.training.schedules import SCHEDULES

PAGE = Path(__file__).resolve().parent.parent / "docs" / "language.md"
LAYERS = PAGE.with_name("layers.md")
SOURCES: Mapping[str, str] = tomllib.loads(Path(__file__).with_name("sources.toml").read_text(encoding="utf-8"))
"""The papers that documentation comments name: from "Ba et al., 2016" to the whole reference."""

SIGNS = {name: f"a {sign} b" for sign, name in PRIMITIVE_OF.items()} | {
    "negative": "-x",
    "logical_not": "not x",
    "matmul": "a @ b",
}

FORMULAS = {
    "exp": "eˣ",
    "expm1": "eˣ - 1, exact near 0",
    "log": "the natural logarithm",
    "log1p": "log(1 + x), exact near 0",
    "sqrt": "the square root",
    "rsqrt": "1 / sqrt(x)",
    "abs": "the absolute value",
    "sign": "-1, 0 or 1",
    "floor": "the greatest integer not above x",
    "ceil": "the least integer not below x",
    "sin": "the sine",
    "cos": "the cosine",
    "tanh": "the hyperbolic tangent",
    "erf": "the error function",
}
"""Of the functions that need no words in the code."""

INITIALIZER_TEXTS = {
    "zeros": "0",
    "ones": "1",
    "constant": "one number",
    "normal": "a normal distribution",
    "truncated_normal": "a normal distribution; what falls outside of `low` to `high` is drawn again",
    "uniform": "a uniform distribution",
    "glorot_uniform": "uniform, of variance gain² 2 / (fan-in + fan-out) (Glorot and Bengio, 2010)",
    "glorot_normal": "normal, of the same variance",
    "he_uniform": "uniform, of variance 2 / ((1 + slope²) fan-in) (He et al., 2015)",
    "he_normal": "normal, of the same variance",
    "lecun_uniform": "uniform, of variance 1 / fan-in (LeCun et al., 1998)",
    "lecun_normal": "normal, of the same variance",
    "orthogonal": "orthonormal rows or columns, times `gain` (Saxe et al., 2014)",
    "sparse": "normal, of mean 0; of each unit the share `sparsity` of the weights is 0 (Martens, 2010)",
    "identity": "1 on the diagonal, 0 elsewhere; filters that pass each channel on (Zagoruyko and Komodakis, 2017)",
}


def main() -> None:
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    LAYERS.write_text(layers(), encoding="utf-8")


def filled(page: str) -> str:
    """The page with every table written anew."""

    def table(found: re.Match[str]) -> str:
        return f"<!-- table: {found[1]} -->\n{TABLES[found[1]]()}\n<!-- end -->"

    return re.sub(r"<!-- table: (\w+) -->\n.*?<!-- end -->", table, page, flags=re.DOTALL)


def _table(head: str, rows: Iterable[tuple[str, ...]]) -> str:
    columns = head.count("|") + 1
    lines = [f"| {head} |", "|" + " --- |" * columns]
    return "\n".join(lines + ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows])


# ------------------------------------------------------------------------------------------------ blocks and primitives


def library() -> str:
    parts = []
    for path in sorted(LIBRARY.glob("*.net")):
        title, further = _heading(path)
        blocks = _blocks(path)
        rows = ((f"`{_call(block)}`", f"`{_ports(block)}`", _words(block.documentation or "")) for block in blocks)
        head = f"**{title}.** {further}." if further else f"**{title}.**"
        parts.append(f"{head}\n\n{_table('block | ports | gives', rows)}\n")
    return "\n".join(parts)


def _heading(path: Path) -> tuple[str, str]:
    """The first sentence of a library file, and the others, which stand in the comment at its top."""
    top = path.read_text(encoding="utf-8").partition("\n\n")[0].splitlines()
    title, _, further = " ".join(line.removeprefix("# ") for line in top).rstrip(".").partition(". ")
    return title, further


def _blocks(path: Path) -> list[syntax.Block]:
    return [d for d in library_file(path).tree.declarations if isinstance(d, syntax.Block)]


def _call(block: syntax.Block) -> str:
    hypers = ", ".join(" ".join(hyper.span.text.split()) for hyper in block.hypers)
    return f"{block.name}({hypers})" if hypers else block.name


def _ports(block: syntax.Block) -> str:
    inputs = ", ".join(" ".join(port.span.text.split()) for port in block.inputs)
    outputs = ", ".join(" ".join(port.span.text.split()) for port in block.outputs)
    return f"{inputs} -> {outputs}"


_LAYERS_HEAD = """\
# The layers

Every layer of the library: its formula, the shapes of what enters and leaves it, its parameters and its source. The
page is generated from the documentation comments of `graphdl/language/library/`, whose files define the layers. A shape
is that of one example, without the batch; `c` and the other names stand for any length, and `..` for any number of
dimensions. [language.md](language.md#the-library) has the layers in tables, and the primitives of which they are made.
"""


def layers() -> str:
    """The whole page of the layers."""
    parts = [_LAYERS_HEAD]
    for path in sorted(LIBRARY.glob("*.net")):
        title, further = _heading(path)
        parts.append(f"## {path.stem.capitalize()}\n\n{title}.{f' {further}.' if further else ''}\n")
        parts += map(_layer, _blocks(path))
    return "\n".join(parts)


def _layer(block: syntax.Block) -> str:
    documentation = _words(block.documentation or "")
    lines = [f"### {block.name}\n", f"`{_call(block)}`: `{_ports(block)}`\n", f"{documentation}\n"]
    for word, title in (("param", "Parameters"), ("state", "State")):
        held = [d for d in _declared(block.body) if d.word == word]
        if held:
            lines.append(f"{title}: {', '.join(f'`{_variable(d)}`' for d in held)}.\n")
    lines += [f"Source: {SOURCES[name]}\n" for name in cited(documentation)]
    return "\n".join(lines)


def cited(documentation: str) -> list[str]:
    """The papers that a documentation comment names in parentheses, as "Ba et al., 2016"."""
    inside = re.findall(r"\(([^()]*, \d{4})\)", documentation)
    return [re.sub(r"^.* of (?=[A-Z])", "", name.strip()) for group in inside for name in group.split(";")]


def _declared(body: Iterable[syntax.Statement]) -> list[syntax.Declare]:
    """The declarations of a body, those in branches, too."""
    found: list[syntax.Declare] = []
    for statement in body:
        if isinstance(statement, syntax.Declare):
            found.append(statement)
        elif isinstance(statement, syntax.If):
            found += _declared((*statement.then, *statement.otherwise))
    return found


def _variable(declared: syntax.Declare) -> str:
    return f"{declared.name}: {' '.join(declared.type.span.text.split())}" if declared.type else str(declared.name)


def primitives() -> str:
    parts = []
    signs = ((f"`{SIGNS[name]}`", f"`{name}`") for name in PRIMITIVES if name in SIGNS)
    parts.append(f"**Behind the signs.**\n\n{_table('sign | primitive', signs)}\n")
    for category in CATEGORIES:
        members = (p for p in PRIMITIVES.values() if p.category == category and p.name not in {*SIGNS, *HIDDEN})
        rows = [(f"`{_signature(p)}`", p.documentation or FORMULAS[p.name]) for p in members]
        if rows:
            parts.append(f"**{category}.**\n\n{_table('primitive | gives', rows)}\n")
    return "\n".join(parts)


def _signature(primitive: Primitive) -> str:
    inputs = ["x, …"] if primitive.variadic else list(primitive.inputs)
    hypers = [h.name if h.default is REQUIRED else f"{h.name} = {written(h.default)}" for h in primitive.hypers]
    arguments = ", ".join([*inputs, *hypers])
    return f"{primitive.name}({arguments})" if arguments else primitive.name


# ------------------------------------------------------------------------------------------------------------ training


def _functions(head: str, functions: Mapping[str, Callable[..., Any]]) -> str:
    rows = []
    for name, function in functions.items():
        parameters = list(inspect.signature(function).parameters.values())[1:]
        arguments = ", ".join(_parameter(parameter) for parameter in parameters)
        text = _words(inspect.getdoc(function) or "")
        text = re.sub(r"^`[^`\[]*`: (\w)", lambda found: found[1].upper(), text)  # the signature says it already
        rows.append((f"`{name}({arguments})`" if arguments else f"`{name}`", text))
    return _table(head, rows)


def _parameter(parameter: inspect.Parameter) -> str:
    if parameter.kind is parameter.VAR_KEYWORD:
        return "field = examples, …"
    if parameter.default is parameter.empty:
        return parameter.name
    return f"{parameter.name} = {written(parameter.default)}"


def _words(text: str) -> str:
    """A docstring or documentation in one line of Markdown."""
    text = text.partition("Raises:")[0].replace("``", "`")
    return " ".join(text.split())


def initializers() -> str:
    rows = []
    for name, numbers in INITIALIZERS.items():
        arguments = ", ".join(key if default is None else f"{key} = {default:g}" for key, default in numbers.items())
        rows.append((f"`{name}({arguments})`", INITIALIZER_TEXTS[name]))
    return _table("initializer | draws", rows)


def limit_rows() -> str:
    rows = [
        ("characters of a file", f"{parser.MAXIMUM_SIZE:,}"),
        ("words and signs of a file", f"{lexer.MAXIMUM_TOKENS:,}"),
        ("nesting of brackets, and of an expression", f"{lexer.MAXIMUM_NESTING:,}"),
        ("nesting of blocks", f"{limits.DEPTH:,}"),
        ("items of a list", f"{limits.LIST:,}"),
        ("nesting of lists", f"{limits.NESTING:,}"),
        ("passes of loops, items of lists and applications of modules in one expansion", f"{limits.STEPS:,}"),
        ("nodes of the graph", f"{graph_limits.NODES:,}"),
        ("dimensions of a tensor", f"{graph_limits.RANK:,}"),
        ("elements of a tensor", "2⁴⁰" if graph_limits.ELEMENTS == 2**40 else f"{graph_limits.ELEMENTS:,}"),
        ("an int", "2⁶³" if limits.NUMBER == 2**63 else f"{limits.NUMBER:,}"),
    ]
    return _table("what | at most", rows)


TABLES: Mapping[str, Callable[[], str]] = {
    "library": library,
    "primitives": primitives,
    "initializers": initializers,
    "optimizers": lambda: _functions("optimizer | is", OPTIMIZERS),
    "schedules": lambda: _functions("schedule | the learning rate", SCHEDULES),
    "data": lambda: _functions("data set | gives", dict(sorted(DATA_SETS.items()))),
    "augmentations": lambda: _functions("augmentation | does", AUGMENTATIONS),
    "limits": limit_rows,
}

if __name__ == "__main__":
    main()
