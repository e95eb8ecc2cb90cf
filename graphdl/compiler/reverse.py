"""The reverse pass: from a scalar loss to its gradients, as further tensors of the same graph.

Tensors are visited in reverse topological order. A tensor with several uses receives the sum of the gradients over all
paths. Tensors that do not depend on a wanted tensor are skipped.
"""

from __future__ import annotations

from collections.abc import Sequence

from graphdl.operators.reduction import sum_to
from graphdl.operators.structure import broadcast_to
from graphdl.operators.tensor import Part, Tensor, adopt, constant, topological


def gradients(loss: Tensor, wanted: Sequence[Tensor]) -> list[Tensor]:
    """d ``loss`` / d tensor for each of ``wanted``; zeros where ``loss`` does not depend on the tensor.

    Raises:
        ValueError: ``loss`` is not of shape [].
    """
    if loss.shape != ():
        raise ValueError(f"gradients start from a scalar, not from {loss}")
    found = pull_back(loss, constant(1.0), wanted)
    return [broadcast_to(constant(0.0), x.shape) if g is None else g for x, g in zip(wanted, found, strict=True)]


def pull_back(
    output: Tensor, seed: Tensor, wanted: Sequence[Tensor], borders: Sequence[Tensor] = ()
) -> list[Tensor | None]:
    """The gradients for ``wanted`` when the gradient of ``output`` is ``seed``; None where no path leads to a tensor.

    No gradient is propagated through the tensors of ``borders``.
    """
    return pull_back_all([(output, seed)], wanted, borders)


def pull_back_all(
    seeds: Sequence[tuple[Tensor, Tensor]], wanted: Sequence[Tensor], borders: Sequence[Tensor] = ()
) -> list[Tensor | None]:
    """``pull_back`` from several outputs, each with its gradient."""
    ends = set(borders)
    order = topological([output for output, _ in seeds], ends)
    reaches = _reached_from(wanted, order)
    received: dict[Tensor, list[Tensor]] = {}
    for output, seed in seeds:
        received.setdefault(output, []).append(seed)
    divided: dict[Tensor, dict[int, Tensor]] = {}
    """For a tensor with several outputs, the gradient received by each of them, by number."""
    totals: dict[Tensor, Tensor] = {}
    for tensor in reversed(order):
        if tensor not in reaches:
            continue
        if tensor in divided:
            arrived = divided[tensor]
            found = tensor.operation.reverse_parts(tensor, arrived)
            _hand_on(tensor, tuple(arrived.values()), found, reaches, received)
            continue
        if tensor not in received:
            continue
        total = _sum(received.pop(tensor))
        totals[tensor] = total
        if not tensor.inputs or tensor in ends:
            continue
        if isinstance(tensor.operation, Part):
            whole, number = divided.setdefault(tensor.inputs[0], {}), tensor.operation.number
            whole[number] = _sum([whole[number], total]) if number in whole else total
        else:
            _hand_on(tensor, (total,), tensor.operation.reverse(tensor, total), reaches, received)
    return [totals.get(x) for x in wanted]


def _hand_on(
    tensor: Tensor,
    arrived: tuple[Tensor, ...],
    found: Sequence[Tensor | None],
    reaches: set[Tensor],
    received: dict[Tensor, list[Tensor]],
) -> None:
    """Adds the gradients that a reverse rule returned to those received by the inputs of ``tensor``."""
    for x, g in zip(tensor.inputs, found, strict=True):
        if g is None or x not in reaches or x.element != "float":
            continue
        if tensor.operation.broadcasts:
            g = sum_to(broadcast_to(g, tensor.shape) if g.shape != tensor.shape else g, x.shape)
        received.setdefault(x, []).append(g)
    adopt((received[x][-1] for x in tensor.inputs if x in received), (tensor, *arrived), tensor.origin)


def _sum(gradients: Sequence[Tensor]) -> Tensor:
    total = gradients[0]
    for further in gradients[1:]:
        total = total + further
    return total


def _reached_from(sources: Sequence[Tensor], order: Sequence[Tensor]) -> set[Tensor]:
    """The tensors that depend on one of ``sources``, including ``sources`` themselves."""
    reached = set(sources)
    for tensor in order:
        if any(x in reached for x in tensor.inputs):
            reached.add(tensor)
    return reached
