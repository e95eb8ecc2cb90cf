"""PyTorch, eager or compiled, in either layout: see ``worker.py``."""

from __future__ import annotations

import torch
from measured_nets import NETS
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from worker import Order, Runner


def total_loss(net: nn.Module, given: Tensor, label: Tensor) -> Tensor:
    """The loss of a batch: 0.3 of those of auxiliary classifiers, and the mean over all places of a sequence."""
    found = net(given)
    logits, *others = found if isinstance(found, tuple) else (found,)
    loss = cross_entropy(logits.flatten(0, -2), label.flatten())
    for other in others:
        loss = loss + 0.3 * cross_entropy(other, label)
    return loss


def training(order: Order) -> Runner:
    """Steps of SGD with momentum from a batch in host memory. The loss of the last one is read."""
    torch.set_num_threads(order.threads)
    place = torch.device("cuda" if order.gpu else "cpu")
    layout = torch.channels_last if order.channels_last else torch.contiguous_format
    row = NETS[order.row]
    net = row.twin().train().to(place, memory_format=layout)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9)
    batch = row.examples(order.batch)
    given, label = torch.from_numpy(batch[row.given]), torch.from_numpy(batch[row.wanted]).long()
    if order.channels_last:
        given = given.to(memory_format=layout)
    loss_of = torch.compile(total_loss) if order.compiled else total_loss

    def run(steps: int) -> None:
        for _ in range(steps):
            optimizer.zero_grad()
            loss = loss_of(net, given.to(place), label.to(place))
            loss.backward()
            optimizer.step()
        loss.item()

    return Runner(run)
