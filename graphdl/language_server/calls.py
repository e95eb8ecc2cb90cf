"""The call around the cursor: its parameters, and the argument that is being written."""

from __future__ import annotations

from dataclasses import dataclass

from graphdl.language.expansion import symbols
from graphdl.language.expansion.meaning import Word, meaning
from graphdl.language.expansion.symbols import Symbol
from graphdl.language.expansion.values import Definition, Namespace
from graphdl.language.lexer import Token
from graphdl.language_server import signatures
from graphdl.language_server.analysis import Analysis
from graphdl.language_server.context import Context, OpenCall
from graphdl.language_server.signatures import Parameter, Settings, Signature

_NO_TENSOR = frozenset(["NUMBER", "STRING", "true", "false", "none", "[", "-"])
"""The tokens with which no tensor argument begins."""

_HYPER_KINDS = (symbols.HYPER, symbols.LET, symbols.LOOP, symbols.DIMENSION, symbols.BLOCK)


@dataclass(frozen=True, slots=True)
class Help:
    signature: Signature
    active: int | None
    """The index of the parameter for the cursor's argument."""


def symbol_of(analysis: Analysis, name: str, offset: int) -> Symbol | None:
    """The meaning of a name at an offset."""
    local = analysis.bindings.visible(offset).get(name)
    if local is not None or analysis.file is None:
        return local
    for occurrence in analysis.bindings.occurrences:  # a name of the file, the library or the language
        if occurrence.symbol.name == name and occurrence.symbol.extent is None:
            return occurrence.symbol
    found = meaning(analysis.file, name)
    if isinstance(found, Definition):
        return analysis.registry.of_definition(found)
    return analysis.registry.of_word(found) if isinstance(found, Word) else None


def signature_of(analysis: Analysis, context: Context, call: OpenCall, settings: Settings) -> Signature | None:
    """The signature of the callee; None if the callee is not certain."""
    names = [token.text for token in call.callee]
    if context.declaration == "train" and context.statement and call.callee[0] in context.statement[1:2]:
        make = settings.get(context.statement[0].text, {}).get(names[0])
        return signatures.of_setting(names[0], make) if make is not None else None
    if len(names) == 2 and analysis.file is not None:
        namespace = analysis.file.find(names[0])
        member = namespace.members.get(names[1]) if isinstance(namespace, Namespace) else None
        return signatures.of_definition(member) if member is not None else None
    if len(names) != 1:
        return None
    symbol = symbol_of(analysis, names[0], call.callee[0].start)
    return signatures.of_symbol(symbol) if symbol is not None else None


def help_at(analysis: Analysis, context: Context, settings: Settings) -> Help | None:
    call = context.call
    if call is None:
        return None
    signature = signature_of(analysis, context, call, settings)
    if signature is None:
        return None
    return Help(signature, _active(analysis, call, signature))


def open_parameters(analysis: Analysis, call: OpenCall, signature: Signature) -> list[Parameter]:
    """The parameters that the arguments before the cursor do not fill."""
    filled = _filled(analysis, call, signature)[:-1]
    return [p for p in signature.parameters if p not in filled]


def _active(analysis: Analysis, call: OpenCall, signature: Signature) -> int | None:
    chosen = _filled(analysis, call, signature)[-1]
    return signature.parameters.index(chosen) if chosen is not None else None


def _filled(analysis: Analysis, call: OpenCall, signature: Signature) -> list[Parameter | None]:
    """The parameter that each argument fills; None for a surplus argument."""
    named = set(call.named)
    ports = [p for p in (signature.ports[1:] if call.piped else signature.ports) if p.name not in named]
    hypers = [p for p in signature.hypers if p.name not in named]
    after_hyper = False
    found: list[Parameter | None] = []
    for argument in call.arguments:
        if len(argument) > 1 and argument[0].type == "NAME" and argument[1].type == "=":
            found.append(next((p for p in signature.parameters if p.name == argument[0].text), None))
            continue
        tensor = bool(ports) and _may_be_tensor(analysis, argument, call.piped, after_hyper)
        after_hyper = after_hyper or not tensor
        queue = ports if tensor or not hypers else hypers
        found.append(queue.pop(0) if queue else None)
    return found


def _may_be_tensor(analysis: Analysis, argument: tuple[Token, ...], piped: bool, after_hyper: bool) -> bool:
    if not argument:
        return not piped and not after_hyper
    first = argument[0]
    if first.type in _NO_TENSOR:
        return False
    if first.type == "NAME" and len(argument) == 1:
        symbol = symbol_of(analysis, first.text, first.start)
        return symbol is None or symbol.kind not in _HYPER_KINDS
    return not (len(argument) == 3 and argument[1].type == ".")  # x.channels is a number
