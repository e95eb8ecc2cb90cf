"""The reverse pass: from a scalar loss to the gradients, as further tensors of the same graph.

Tensors are visited in reverse topological order. A tensor that is used in several places receives the sum of the
gradients over all paths; one that no wanted tensor reaches gets none.
"""

from __future__ import annotations

from collections.abc import Sequence

from graphdl.operators.reduction import sum_to
from graphdl.operators.structure import broadcast_to
from graphdl.operators.tensor import Part, Tensor, adopt, constant, topological


def gradients(loss: Tensor, wanted: Sequence[Tensor]) -> list[Tensor]:
    """d loss / d tensor for each of ``wanted``; zeros where no path leads there. The loss has the shape []."""
    if loss.shape != ():
        raise ValueError(f"gradients start from a scalar, not from {loss}")
    found = pull_back(loss, constant(1.0), wanted)
    return [broadcast_to(constant(0.0), x.shape) if g is None else g for x, g in zip(wanted, found, strict=True)]


def pull_back(
    output: Tensor, seed: Tensor, wanted: Sequence[Tensor], borders: Sequence[Tensor] = ()
) -> list[Tensor | None]:
    """What reaches each of ``wanted`` when the gradient ``seed`` reaches ``output``; none where no path leads there.

    Paths end at the tensors of ``borders``, so that what lies before them counts for nothing.
    """
    return pull_back_all([(output, seed)], wanted, borders)


def pull_back_all(
    seeds: Sequence[tuple[Tensor, Tensor]], wanted: Sequence[Tensor], borders: Sequence[Tensor] = ()
) -> list[Tensor | None]:
    """``pull_back`` from several outputs, each with the gradient that reaches it."""
    order = topological([output for output, _ in seeds], {id(x) for x in borders})
    reaches = _reached_from(wanted, order)
    received: dict[int, list[Tensor]] = {}
    for output, seed in seeds:
        received.setdefault(id(output), []).append(seed)
    divided: dict[int, dict[int, Tensor]] = {}
    """For a tensor that stands for several outputs what has reached each of them."""
    ends = {id(x) for x in borders}
    totals: dict[int, Tensor] = {}
    for tensor in reversed(order):
        if id(tensor) not in reaches:
            continue
        if id(tensor) in divided:
            arrived = divided[id(tensor)]
            found = tensor.operation.reverse_parts(tensor, arrived)
            _hand_on(tensor, tuple(arrived.values()), found, reaches, received)
            continue
        if id(tensor) not in received:
            continue
        total = _sum(received.pop(id(tensor)))
        totals[id(tensor)] = total
        if not tensor.inputs or id(tensor) in ends:
            continue
        if isinstance(tensor.operation, Part):
            whole, number = divided.setdefault(id(tensor.inputs[0]), {}), tensor.operation.number
            whole[number] = _sum([whole[number], total]) if number in whole else total
        else:
            _hand_on(tensor, (total,), tensor.operation.reverse(tensor, total), reaches, received)
    return [totals.get(id(x)) for x in wanted]


def _hand_on(
    tensor: Tensor,
    arrived: tuple[Tensor, ...],
    found: Sequence[Tensor | None],
    reaches: set[int],
    received: dict[int, list[Tensor]],
) -> None:
    """Gives the inputs of ``tensor`` the gradients that a reverse rule has found for them."""
    for x, g in zip(tensor.inputs, found, strict=True):
        if g is None or id(x) not in reaches or x.element != "float":
            continue
        if tensor.operation.broadcasts:
            g = sum_to(broadcast_to(g, tensor.shape) if g.shape != tensor.shape else g, x.shape)
        received.setdefault(id(x), []).append(g)
    adopt((received[id(x)][-1] for x in tensor.inputs if id(x) in received), (tensor, *arrived), tensor.origin)


def _sum(gradients: Sequence[Tensor]) -> Tensor:
    total = gradients[0]
    for further in gradients[1:]:
        total = total + further
    return total


def _reached_from(sources: Sequence[Tensor], order: Sequence[Tensor]) -> set[int]:
    """The tensors that depend on one of ``sources``."""
    reached = {id(x) for x in sources}
    for tensor in order:
        if any(id(x) in reached for x in tensor.inputs):
            reached.add(id(tensor))
    return reached
