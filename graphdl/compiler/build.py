"""The driver of the compiler: from results of the operator graph to a program."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from graphdl import collector
from graphdl.compiler.assembly import assemble
from graphdl.compiler.fusion import fuse
from graphdl.compiler.grouping import GeneratedKernel, generated, grouped, launch_count
from graphdl.compiler.in_place import write_in_place
from graphdl.compiler.launches import launched
from graphdl.compiler.layout import layouts
from graphdl.compiler.placement import (
    Pieces,
    constant_values,
    feed_slots,
    fetch_slots,
    pieces_of,
    place,
    variable_slots,
)
from graphdl.compiler.prepare import prepare
from graphdl.compiler.program import Program, Result, Target
from graphdl.compiler.recompute import recompute
from graphdl.compiler.repeating import settle
from graphdl.compiler.schedule import order
from graphdl.compiler.setup import setup_plans, variables_last
from graphdl.compiler.simplify import simplify
from graphdl.compiler.storage import Stores, by_element, stored
from graphdl.compiler.strided import fixed_operands, memory_operands
from graphdl.compiler.typed import check_operands
from graphdl.diagnostics import Diagnostic, ModelError
from graphdl.operators.kernels.family import Choose, Lasts, copy, nothing_lasts, predicted
from graphdl.operators.tensor import Source, Template, Tensor, topological

_MOST_ELEMENTS = 2**31 - 1


@collector.paused()
def build(
    fetches: Mapping[str, Tensor],
    updates: Mapping[str, Tensor],
    target: Target,
    stores: Stores = by_element,
    choose: Choose = predicted,
    memory: int | None = None,
) -> Program:
    """Compiles a program that computes ``fetches`` and sets the variables named in ``updates`` to new values.

    All results are computed from the old values of the variables. ``stores`` chooses the form in which an intermediate
    result is stored, ``choose`` the form of every hand-written kernel. In a program without updates, the kernels that
    depend on variables alone come first; later runs can skip them. If the program needs more than ``memory`` bytes, it
    computes tensors again so that it needs at most these, or the fewest that can be reached.

    Raises:
        ModelError: a tensor has more than 2³¹ − 1 elements.
    """
    return _build(fetches, updates, target, stores, choose, nothing_lasts if updates else variables_last, memory=memory)


def _build(
    fetches: Mapping[str, Tensor],
    updates: Mapping[str, Tensor],
    target: Target,
    stores: Stores,
    choose: Choose,
    lasts: Lasts,
    repeated: Lasts = nothing_lasts,
    memory: int | None = None,
) -> Program:
    """Compiles a program. Its setup depends only on the tensors for which ``lasts`` is true. Those for which
    ``repeated`` is true are read so often that kernel families may prefer them packed.
    """
    results: dict[Result, Tensor] = {("fetch", name): x for name, x in fetches.items()}
    results |= {("variable", name): x for name, x in updates.items()}
    _refuse_giants(topological(results.values()))
    simple = simplify(results)
    prepared = prepare(simple, target, choose, repeated)
    results = simple if prepared == simple else simplify(prepared)
    results = settle(results, lambda made, changed, given: _build(made, changed, target, stores, choose, given, given))
    results = stored(assemble(_apart(results)), stores)
    tensors = topological(results.values())
    check_operands(tensors)
    operands = {t: memory_operands(t) for t in tensors if isinstance(t.operation, Template)}
    written = write_in_place(results, fuse(list(results.values()), operands, target), operands)
    results, plans = written.results, written.plans
    kept = set(results.values())
    strides = layouts(plans, operands, kept)
    sequence = order(plans, written.before, kept)
    setup = setup_plans(plans, written.before, lasts, kept)
    first = grouped(generated([p for p in sequence if p in setup], strides, target), target)
    kernels = generated([p for p in sequence if p not in setup], strides, target)

    pieces = pieces_of(plans, strides)

    def assembled(kernels: Sequence[GeneratedKernel], pieces: Pieces) -> Program:
        later = grouped(kernels, target)
        placement = place(results, pieces, first, later)
        made = launched([*first, *later], placement, target)
        return Program(
            target,
            made.kernels,
            tuple(made.launches),
            placement.arena_bytes,
            placement.arena_blocks,
            variables=variable_slots(results, plans),
            feeds=feed_slots(plans),
            fetches=fetch_slots(results),
            constants=constant_values(plans),
            loops=tuple(made.loops),
            setup_launches=sum(launch_count(group[0]) for group in first),
            updates=tuple(updates),
        )

    def arena_bytes(kernels: Sequence[GeneratedKernel], pieces: Pieces) -> int:
        return place(results, pieces, first, grouped(kernels, target)).arena_bytes

    program = assembled(kernels, pieces)
    if memory is None or program.peak_bytes <= memory:
        return program
    room = memory - (program.peak_bytes - program.arena_bytes)
    return assembled(*recompute(kernels, results, pieces, room, arena_bytes))


def _refuse_giants(tensors: Sequence[Tensor]) -> None:
    """Raises ModelError for a tensor of more than 2³¹ − 1 elements: kernels index with 32 bits."""
    for tensor in tensors:
        if tensor.size > _MOST_ELEMENTS:
            message = f"with the batch, a tensor has {tensor.size:,} elements: the limit is {_MOST_ELEMENTS:,}"
            span = tensor.origin.span if tensor.origin is not None else None
            raise ModelError(Diagnostic("E0302", message, span, help="a smaller batch makes smaller tensors"))


def _apart(results: Mapping[Result, Tensor]) -> dict[Result, Tensor]:
    """Returns results that are separate row-major tensors.

    A result is copied if it is a source, if it is another result too, or if a hand-written kernel reads it in that
    kernel's own layout.
    """
    taken = fixed_operands(topological(results.values()))
    made = {}
    for name, tensor in results.items():
        single = copy(tensor) if tensor in taken or isinstance(tensor.operation, Source) else tensor
        taken.add(single)
        made[name] = single
    return made
